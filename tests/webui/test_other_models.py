"""Models of other loaders, and folders that cannot be loaded."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from .conftest import MODEL
from .server import TINY
from .test_model_tab import ACT_ORDER, NO_ACT_ORDER


def test_an_unquantised_llama_loads_and_chats(page):
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
def test_a_broken_folder_is_reported_in_one_sentence(page, folder):
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


@pytest.fixture
def repaired(server):
    """A folder with two checkpoints, of which the default one is incomplete."""
    folder = server.data / 'models' / 'airoboros-repaired-GPTQ'
    shutil.copytree(TINY, folder)
    (folder / NO_ACT_ORDER).write_bytes((TINY / NO_ACT_ORDER).read_bytes()[:1_000_000])
    yield folder
    shutil.rmtree(folder)


def test_beside_a_broken_checkpoint_the_other_loads_and_so_does_the_first_once_repaired(page, repaired):
    page.refresh_models()
    page.choose_model('plain-llama')
    page.choose_model(repaired.name)
    expect(page.page.locator('.gptq-error')).to_contain_text('the download was interrupted')
    page.pick('checkpoint', ACT_ORDER)
    assert page.facts()['act-order'][0] == 'yes'
    page.load()
    page.new_chat()
    expect(page.chat('What is 3 plus 4?')).to_have_text('3 plus 4 is 7.')
    page.tab('Model')
    page.press('Unload')
    page.idle()
    page.choose_model('plain-llama')
    page.choose_model(repaired.name)
    shutil.copy(TINY / NO_ACT_ORDER, repaired)
    page.load()
    expect(page.dropdown('checkpoint')).to_have_value(NO_ACT_ORDER)
    assert page.facts()['running']
    page.tab('Parameters')
    expect(page.dropdown('Preset')).to_have_value('Airoboros')
    page.tab('Instruction template')
    template = page.page.get_by_role('textbox', name=re.compile('^Instruction template'))
    expect(template).to_have_value(re.compile('Airoboros 1.2 and 1.3 as they were trained'))
    page.new_chat()
    expect(page.chat('What is 3 plus 4?')).to_have_text('3 plus 4 is 7.')
    page.load(MODEL)
