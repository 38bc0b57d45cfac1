"""The context helper among the chat's controls."""

import pytest
from playwright.sync_api import expect

from .conftest import MODEL


@pytest.fixture
def chat(open_page):
    """A page with the tiny model loaded, wide enough for the chat's controls to be shown."""
    page = open_page(width=1600)
    page.load(MODEL)
    page.tab('Chat')
    return page


def test_sources_and_a_question_become_the_prompt_in_the_message_box(chat):
    helper = chat.page.locator('#context-helper')
    message = chat.page.locator('#chat-input textarea')
    expect(helper).to_be_visible()
    message.fill('')  # before v3 a page starts with the last message of another page
    helper.get_by_text('Answer from sources').click()
    chat.page.locator('#context-source-1 textarea').fill('Blueberries are now green.')
    chat.page.locator('#context-about-1 textarea').fill('yesterday')
    chat.page.locator('#context-question textarea').fill('What colour?')
    chat.press('Put into the message box')
    expect(helper.locator('.gptq-error')).to_contain_text('"yesterday" in source 1 is not a key')
    expect(message).to_have_value('')
    chat.page.locator('#context-about-1 textarea').fill('date: 2021-01-01')
    chat.press('Put into the message box')
    expect(message).to_have_value(
        'BEGININPUT\nBEGINCONTEXT\ndate: 2021-01-01\nENDCONTEXT\nBlueberries are now green.\nENDINPUT\n'
        'BEGININSTRUCTION\nWhat colour?\nENDINSTRUCTION'
    )
    chat.shot('context-helper')
    message.fill('')


def test_it_is_there_with_an_airoboros_alone_and_nothing_of_it_is_saved(chat, server):
    helper = chat.page.locator('#context-helper')
    chat.tab('Model')
    chat.press('Unload')
    chat.idle()
    chat.tab('Chat')
    expect(helper).to_be_hidden()
    chat.load(MODEL)
    chat.tab('Chat')
    expect(helper).to_be_visible()
    assert 'context' not in (server.data / 'settings.yaml').read_text('utf-8').replace('ctx', '')
