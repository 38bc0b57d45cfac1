"""Together with an extension that patches the same functions, in either order; unticked in the Session tab, ticked again."""

import pytest
from playwright.sync_api import expect

from .conftest import MODEL
from .dialect import LOADERS_WITHOUT_EXTENSION
from .driver import Page
from .test_chat import SNAKE

OTHER = """
from modules import chat, models, ui_model_menu
from modules.logging_colors import logger

original = models.load_model


def load_model(model_name, loader=None):
    logger.info(f'other: loads {model_name}')
    return original(model_name, loader)


def setup():
    models.load_model = load_model
    ui_model_menu.load_model = load_model


def custom_generate_chat_prompt(text, state, **kwargs):
    logger.info('other: makes the prompt')
    return chat.generate_chat_prompt(text, state, **kwargs)
"""


@pytest.mark.parametrize('order', [('other', 'airoboros_gptq'), ('airoboros_gptq', 'other')], ids=' then '.join)
def test_both_work_and_this_one_can_be_unticked_and_ticked(make_webui, start, browser, corpus, order):
    webui = make_webui('beside')
    script = webui / 'extensions' / 'other' / 'script.py'
    script.parent.mkdir(parents=True)
    script.write_text(OTHER)
    server = start(webui, '--extensions', *order).wait()
    page = Page(browser, server.url)
    try:
        chats_as_plainformat(page, server, corpus)
        page.choose_extension('airoboros_gptq', False)
        page.restart(server)
        assert_removed(page, server)
        page.choose_extension('airoboros_gptq', True)
        page.restart(server)
        chats_as_plainformat(page, server, corpus)
        page.shot('beside-' + order[0])
        assert page.new_errors() == []
    finally:
        page.close()
        server.stop()
    assert 'Traceback' not in server.log()


def chats_as_plainformat(page, server, corpus):
    before = server.log().count('other: loads'), server.log().count('other: makes the prompt')
    page.load(MODEL)
    assert 'LOADER: "airoboros-GPTQ"' in server.log()
    page.new_chat()
    page.plainformat(True)
    assert page.code(page.chat(SNAKE)) == corpus.SNAKE['python']
    page.plainformat(False)
    after = server.log().count('other: loads'), server.log().count('other: makes the prompt')
    assert after == (before[0] + 1, before[1] + 1)


def assert_removed(page, server):
    assert 'removing the loader airoboros-GPTQ' in server.log()
    page.choose_model(MODEL)
    assert 'airoboros-GPTQ' not in page.options('Model loader')
    expect(page.dropdown('Model loader')).to_have_value(LOADERS_WITHOUT_EXTENSION)
    expect(page.box).to_have_count(0)
    expect(page.page.locator('[id^=gptq]')).to_have_count(0)
    page.shot('unticked-after-restart')
