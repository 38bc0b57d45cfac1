"""Session > Apply flags/extensions and restart. Runs last, as every page must be opened again afterwards."""

from playwright.sync_api import expect

from .conftest import MODEL
from .test_chat import SENTENCE, SNAKE


def test_restart_keeps_everything_working_once(chat, server, history, corpus):
    chat.restart(server)
    expect(chat.box).to_have_count(1)
    chat.plainformat(True)
    chat.new_chat()
    assert chat.code(chat.chat(SNAKE)) == corpus.SNAKE['python']
    assert history()['internal'] == [[SNAKE + '  PLAINFORMAT', corpus.SNAKE['python']]]
    chat.plainformat(False)
    expect(chat.regenerate()).to_contain_text(SENTENCE)
    chat.tab('Model')
    expect(chat.page.locator('.gptq-facts table')).to_have_count(1)
    chat.press('Unload')
    expect(chat.status).to_have_text('Model unloaded')
    chat.load(MODEL)
