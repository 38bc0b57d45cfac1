"""The status line, and the extension's setting, which the webui saves."""

import re

import pytest
import yaml
from playwright.sync_api import expect

from .conftest import MODEL, OTHER

SPEED = re.compile(r'\b\d+(\.\d)? tokens/s')


def test_status_line_has_model_kernel_throughput_and_memory(page, open_page):
    page.load(MODEL)
    page.tab('Chat')
    for said in (MODEL, re.compile('(native-cpu|torch-int4) on cpu, bfloat16'), re.compile(r'process: [\d.]+ [GM]B')):
        expect(page.status_line).to_contain_text(said)
    expect(page.status_line).not_to_contain_text('tokens/s')
    page.new_chat()
    page.chat('What is 3 plus 4?')
    expect(page.status_line).to_contain_text(SPEED)
    page.shot('status-line')
    # Another page shows it at once.
    expect(open_page().status_line).to_contain_text(SPEED)
    page.tab('Model')
    page.press('Unload')
    page.idle()
    page.tab('Chat')
    expect(page.status_line).to_be_hidden()


def test_with_another_loader_there_is_no_status_line_and_no_request_for_it(page):
    page.load('plain-llama')
    page.tab('Parameters')
    page.page.get_by_label('max_new_tokens').first.fill('8')
    page.idle()
    page.new_chat()
    page.ask('Hello')
    asked = page.page.evaluate('jobs.asked')
    expect(page.status_line).to_be_hidden()
    # No condition to await: only time shows that nothing happens.
    page.page.evaluate('new Promise(done => setTimeout(done, 1000))')
    assert page.page.evaluate('jobs.asked') == asked
    page.tab('Parameters')
    page.page.get_by_label('max_new_tokens').first.fill('512')
    page.idle()
    page.load(MODEL)
    page.tab('Chat')
    expect(page.status_line).to_be_visible()


@pytest.fixture
def always(page):
    """The checkbox of the setting; unticked afterwards."""
    page.choose_model(OTHER)
    box = page.page.get_by_label('PLAINFORMAT box for every model')
    yield box
    page.tab('Model')
    if box.is_checked():
        box.set_checked(False)
        page.idle()
    page.load(MODEL)


def test_the_box_for_every_model_is_a_setting_that_the_webui_saves(page, always, server):
    def kept():
        settings = yaml.safe_load((server.data / 'settings.yaml').read_text('utf-8'))
        return settings.get('airoboros_gptq-always_offer_plainformat')

    page.load()
    page.shot('setting')
    page.tab('Chat')
    expect(page.status_line).to_contain_text(OTHER)
    expect(page.box).to_be_hidden()
    for ticked in (True, False):
        page.tab('Model')
        always.set_checked(ticked)
        page.idle()
        page.tab('Chat')
        expect(page.box).to_be_visible() if ticked else expect(page.box).to_be_hidden()
        page.save_extensions_settings()
        assert kept() is (True if ticked else None)


def test_the_setting_is_only_shown_with_this_loader(page, always):
    expect(always).to_be_visible()
    page.choose_model('plain-llama')
    expect(always).to_be_hidden()
    page.choose_model(MODEL)
    expect(always).to_be_visible()
