"""Picking, loading and unloading a GPTQ folder in the Model tab."""

import re

import pytest
from playwright.sync_api import expect

from .conftest import MODEL
from .dialect import needs

ACT_ORDER = 'airoboros-tiny-gpt4-1.2-GPTQ-4bit-128g.act.order.safetensors'
NO_ACT_ORDER = 'airoboros-tiny-gpt4-1.2-GPTQ-4bit-128g.no-act-order.safetensors'

OVERRULED = 'quantize_config.json says desc_act is False; the tensors have True, and that is used.'


@pytest.mark.core
def test_a_pick_sets_everything(page):
    page.choose_model('plain-llama')  # in case the tiny model is picked already
    page.choose_model(MODEL)
    page.shot('picked')
    page.expect_set_by_the_pick()


@needs('the context length shown when a model is picked')
def test_a_pick_reports_the_context_length(page):
    page.choose_model(MODEL)
    expect(page.status).to_contain_text('Max sequence length: 2048')


def test_facts_have_values_and_sources(page):
    page.choose_model(MODEL)
    facts = page.facts()
    assert facts['bits'] == ('4', 'the shapes of 35 linears, as quantize_config.json says')
    assert facts['group size'] == ('128', 'the shapes of 35 linears, as quantize_config.json says')
    assert facts['act-order'][0] == 'no'
    assert facts['checkpoint'][0] == NO_ACT_ORDER
    assert facts['size'] == ('3.62 MB', 'the file')
    assert page.options('checkpoint') == [ACT_ORDER, NO_ACT_ORDER]


LINE = r'4-bit.*128g.*no act-order.*3\.62 MB.*needs [\d.]+ MB of [\d.]+ GB free.*Airoboros 1\.2'


def test_one_line_has_the_facts_and_leaves_the_webuis_options_on_the_screen(page):
    page.load(MODEL)
    page.press('Unload')  # of a loaded model the line says how it runs
    expect(page.status).to_have_text('Model unloaded')
    page.idle()
    page.choose_model('plain-llama')
    page.choose_model(MODEL)
    panel = page.page.locator('.gptq-facts')
    expect(panel.get_by_role('button')).to_have_text(re.compile(LINE))
    expect(panel.locator('table')).to_be_hidden()
    for label in ('kernel', 'format'):
        expect(page.dropdown(label)).to_be_in_viewport(ratio=1)
    panel.get_by_role('button').click()
    expect(panel.locator('table')).to_be_visible()
    page.pick('checkpoint', ACT_ORDER)
    expect(panel.locator('table')).to_be_visible()  # it stays unfolded when it changes
    page.shot('unfolded')
    panel.get_by_role('button').click()
    expect(panel.locator('table')).to_be_hidden()
    expect(panel.locator('.gptq-warning')).to_have_text(OVERRULED)
    page.pick('checkpoint', NO_ACT_ORDER)
    expect(panel.locator('.gptq-warning')).to_have_count(0)


def test_memory_follows_the_kernel_and_one_that_cannot_run_is_said_at_once(page):
    page.choose_model('plain-llama')
    page.choose_model(MODEL)
    before = page.facts()['weights']
    page.pick('kernel', 'reference')
    value, source = page.facts()['weights']
    assert value != before[0] and source == 'estimated for reference on cpu'
    page.pick('kernel', 'triton')
    expect(page.page.locator('.gptq-warning')).to_contain_text('The kernel triton cannot run this model here')
    page.pick('kernel', 'auto')
    assert page.facts()['weights'] == before


def test_the_help_of_the_box_for_every_model_stands_below_it(page):
    page.choose_model(MODEL)
    box = page.page.get_by_label('PLAINFORMAT box for every model').bounding_box()
    text = page.page.get_by_text('for models that are not an Airoboros too').bounding_box()
    assert 0 <= text['y'] - (box['y'] + box['height']) < 20


def test_choosing_the_act_order_file_updates_the_facts(page):
    page.choose_model(MODEL)
    page.pick('checkpoint', ACT_ORDER)
    assert page.facts()['act-order'] == ('yes', 'g_idx')
    assert page.facts()['note'][0] == OVERRULED
    page.shot('act-order')
    page.pick('checkpoint', NO_ACT_ORDER)
    assert page.facts()['act-order'][0] == 'no'


def test_an_idle_page_sends_no_requests_and_uses_no_cpu(page):
    page.choose_model(MODEL)
    asked = page.page.evaluate('jobs.asked')
    busy = busy_seconds(page)
    # No condition to await: only time shows that nothing happens.
    page.page.evaluate('new Promise(done => setTimeout(done, 1500))')
    assert page.page.evaluate('jobs.asked') == asked
    assert busy_seconds(page) - busy < 0.5


def busy_seconds(page) -> float:
    """Seconds of tasks, rendering or scripts, since the page was opened."""
    tools = page.context.new_cdp_session(page.page)
    tools.send('Performance.enable')
    metrics = tools.send('Performance.getMetrics')['metrics']
    return next(metric['value'] for metric in metrics if metric['name'] == 'TaskDuration')


@pytest.mark.core
def test_load_and_unload(page):
    page.load(MODEL)
    assert 'on cpu' in page.facts()['running'][0]
    page.shot('loaded')
    page.tab('Chat')
    expect(page.box).to_be_visible()
    page.tab('Model')
    page.press('Unload')
    expect(page.status).to_have_text('Model unloaded')
    page.idle()
    assert 'running' not in page.facts()
    page.tab('Chat')
    expect(page.box).to_be_hidden()


def test_a_page_that_opens_later_shows_the_loaded_model(page, open_page):
    page.load(MODEL)
    other = open_page()
    other.tab('Model')
    expect(other.dropdown('Model')).to_have_value(MODEL)
    assert other.facts()['running'] == page.facts()['running']
    assert other.options('checkpoint') == [ACT_ORDER, NO_ACT_ORDER]


def test_load_again_and_load_the_other_checkpoint(page, corpus):
    page.load(MODEL)
    page.pick('checkpoint', ACT_ORDER)
    page.load()
    assert page.facts()['checkpoint'][0] == ACT_ORDER
    page.new_chat()
    assert page.code(page.chat('Write the Snake game in python.')).rstrip() == corpus.SNAKE['python']
    page.tab('Model')
    page.pick('checkpoint', NO_ACT_ORDER)
    page.load()
    page.load()
    assert page.facts()['running']


def test_a_load_keeps_the_preset_that_the_user_chose(page):
    page.choose_model(MODEL)
    page.tab('Parameters')
    other = next(name for name in page.options('Preset') if name not in ('None', 'Airoboros', 'Airoboros-Durbin'))
    page.pick('Preset', other)
    page.load(MODEL)
    page.tab('Parameters')
    expect(page.dropdown('Preset')).to_have_value(other)
    page.pick('Preset', 'Airoboros')
