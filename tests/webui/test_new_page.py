"""A page that opens while a model is loaded shows how it was loaded, whichever way that was; so Save settings loses nothing."""

import shutil

import pytest
import yaml
from playwright.sync_api import expect

from . import server as webui_server
from . import steered
from .api import ApiServer
from .conftest import COPY, MODEL
from .driver import Page
from .server import TINY
from .test_model_tab import ACT_ORDER, NO_ACT_ORDER

EXTENSIONS = ('--extensions', 'airoboros_gptq', steered.NAME)
SAVED = {
    'gptq_checkpoint': ACT_ORDER,
    'gptq_kernel': 'reference',
    'gptq_format': 'gptq',
    'gpu_split': '7',
    'bf16': True,
}
ASKED = {'gptq_checkpoint': NO_ACT_ORDER, 'gptq_kernel': 'torch-int4', 'gptq_format': 'gptq'}  # of the API


@pytest.fixture(scope='module')
def webui(make_webui):
    """With settings saved for the tiny model, a copy of it without, and the setting load_at_start for some."""
    webui = make_webui('new-page')
    models = webui_server.data_folder(webui) / 'models'
    shutil.copytree(TINY, models / COPY)
    (models / 'config-user.yaml').write_text(yaml.dump({f'{MODEL}$': SAVED}))
    steered.add_to(webui)
    return webui


@pytest.fixture
def open_new(browser):
    """open_new(server): a page of a browser of its own, in the Model tab."""
    pages = []

    def open_new(server) -> Page:
        pages.append(Page(browser, server.url))
        pages[-1].tab('Model')
        return pages[-1]

    yield open_new
    errors = [e for page in pages for e in page.new_errors()]
    for page in pages:
        page.close()
    assert not errors


def expect_shown(page, settings, model=MODEL):
    expect(page.dropdown('Model')).to_have_value(model)
    expect(page.dropdown('Model loader')).to_have_value('airoboros-GPTQ')
    for label in ('checkpoint', 'kernel', 'format'):
        expect(page.dropdown(label)).to_have_value(settings[f'gptq_{label}'])
    assert page.options('checkpoint') == [ACT_ORDER, NO_ACT_ORDER]
    assert page.facts()['running'][0].startswith(settings['gptq_kernel'])


@pytest.mark.parametrize('way', ['--model', 'load_at_start'])
def test_a_model_of_the_start_shows_its_saved_settings_and_a_save_keeps_them(webui, start, open_new, way):
    settings = webui_server.data_folder(webui) / 'settings.yaml'
    before = settings.read_text()
    if way == 'load_at_start':
        settings.write_text(before + yaml.dump({'airoboros_gptq-load_at_start': MODEL}))
    server = start(webui, *EXTENSIONS, *(('--model', MODEL) if way == '--model' else ())).wait()
    settings.write_text(before)
    page = open_new(server)
    expect_shown(page, SAVED)
    expect(page.page.get_by_label('gpu-split')).to_have_value(SAVED['gpu_split'])
    page.press('Save settings')
    page.idle()
    expect(page.status).to_contain_text('saved to')
    server.stop()
    kept = yaml.safe_load((server.data / 'models' / 'config-user.yaml').read_text('utf-8'))[f'{MODEL}$']
    assert SAVED.items() <= kept.items()
    assert 'Traceback' not in server.log()


@pytest.fixture(scope='module')
def api(webui, start):
    server = start(webui, *EXTENSIONS, '--idle-timeout', '600', kind=ApiServer).wait()
    yield server
    server.stop()
    assert 'Traceback' not in server.log()


def test_a_model_that_the_api_loaded_shows_what_was_asked_for(api, open_new):
    open_new(api)  # a page that was open before, and has gathered its values
    api.post('/internal/model/load', model_name=MODEL, args=ASKED)
    page = open_new(api)
    expect_shown(page, ASKED)
    page.tab('Parameters')
    expect(page.page.get_by_label('Truncate the prompt up to this length')).to_have_value('2048')
    page.tab('Instruction template')
    template = page.page.get_by_role('textbox', name='Instruction template')
    assert 'Airoboros 1.2 and 1.3 as they were trained' in template.first.input_value()
    assert page.chat('What is 3 plus 4?').inner_text() == '3 plus 4 is 7.'


def test_what_another_browser_picks_changes_neither_the_new_page_nor_the_reload_after_idling(api, webui, open_new):
    api.post('/internal/model/load', model_name=MODEL, args=ASKED)
    other = open_new(api)
    other.choose_model(COPY)
    other.pick('checkpoint', ACT_ORDER)
    other.pick('kernel', 'reference')
    assert api.loaded() == (MODEL, 'airoboros-GPTQ')
    expect_shown(open_new(api), ASKED)
    steered.unload_as_idle(webui)
    loads = api.log().count('airoboros-GPTQ: torch-int4 on cpu')
    assert api.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    assert api.log().count('airoboros-GPTQ: torch-int4 on cpu') == loads + 1
    expect_shown(open_new(api), ASKED)


def test_the_setting_of_the_box_is_that_of_the_last_change(api, open_new):
    api.post('/internal/model/load', model_name=MODEL)
    page = open_new(api)
    box = page.page.get_by_label('PLAINFORMAT box for every model')
    for ticked in (True, False):
        box.set_checked(ticked)
        page.idle()
        expect(open_new(api).page.get_by_label('PLAINFORMAT box for every model')).to_be_checked(checked=ticked)
