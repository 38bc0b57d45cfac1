"""What is not ours, or cannot be loaded: the webui goes on as ever."""

import pytest
from playwright.sync_api import expect

from .conftest import MODEL


def test_a_plain_llama_loads_and_chats_as_before(page):
    page.choose_model('plain-llama')
    expect(page.dropdown('Model loader')).to_have_value('Transformers')
    for label in ('checkpoint', 'kernel'):
        expect(page.dropdown(label)).to_be_hidden()
    expect(page.page.locator('.gptq-facts')).to_be_hidden()
    page.load()
    page.shot('plain-llama')
    page.tab('Parameters')
    page.page.get_by_label('max_new_tokens').first.fill('8')
    page.page.get_by_label('auto_max_new_tokens').set_checked(False)
    page.idle()
    page.new_chat()
    expect(page.box).to_be_hidden()
    page.chat('Hello')
    expect(page.answers).to_have_count(1)
    page.tab('Parameters')
    page.page.get_by_label('max_new_tokens').first.fill('512')
    page.idle()
    page.load(MODEL)


@pytest.mark.parametrize('folder', ['airoboros-cut-GPTQ', 'airoboros-garbled-GPTQ'])
def test_a_broken_folder_costs_one_sentence(page, folder):
    page.choose_model(folder)
    expect(page.page.locator('.gptq-error')).to_be_visible()
    page.shot(folder)
    sentence = page.page.locator('.gptq-error').inner_text()
    page.load(expected='airoboros')
    expect(page.status).to_have_text(sentence)
    assert sentence.endswith('.') and 'Traceback' not in sentence
    page.load(MODEL)
    page.new_chat()
    expect(page.chat('What is 3 plus 4?')).to_have_text('3 plus 4 is 7.')
