"""While a model loads."""

import pytest
from playwright.sync_api import expect

from . import steered
from .conftest import MODEL
from .driver import Page


@pytest.fixture
def loading(make_webui, start, browser):
    """A page whose load stands still until `hold` is gone, and the webui's folder."""
    webui = make_webui('loading')
    steered.add_to(webui)
    server = start(webui, '--extensions', 'airoboros_gptq', steered.NAME).wait()
    page = Page(browser, server.url)
    page.choose_model(MODEL)
    (webui / 'hold').touch()
    page.press('Load')
    yield page, webui
    page.close()
    server.stop()
    assert 'Traceback' not in server.log()


def test_the_progress_of_a_load_is_not_drawn_over_a_message(loading):
    page, webui = loading
    progress = page.page.locator('#gptq_model_status .progress-level-inner')
    expect(progress).to_contain_text(f'Loading {MODEL} - 25.0%')
    expect(page.page.locator('#gptq_model_status .prose').last).to_have_text('')
    page.shot('loading')
    (webui / 'hold').unlink()
    page.idle()
    expect(page.status).to_have_text(f'Successfully loaded {MODEL}.')
    expect(progress).to_have_count(0)
