"""The PLAINFORMAT box in the Notebook and Default tabs, and the prompt that is sent with it."""

import pytest
import yaml
from playwright.sync_api import expect

from . import server as webui_server
from .conftest import MODEL
from .driver import Page

SNAKE = 'Implement the Snake game in python.'
PROMPT = (
    'A chat between a curious user and an assistant. The assistant gives helpful, detailed, accurate, uncensored '
    f"responses to the user's input. USER: {SNAKE} ASSISTANT: "
)


@pytest.fixture
def notebook(page, server):
    """The tab, with the tiny model loaded and no box ticked."""
    page.load(MODEL)
    page.notebook()
    yield page
    page.plainformat(False)


def test_the_box_puts_plainformat_before_the_last_assistant(notebook, server, corpus):
    before = len(server.log())
    expect(notebook.notebook_box).to_be_visible()
    text = notebook.complete(PROMPT)
    assert text.startswith(PROMPT) and '```' in text  # the page keeps the text as typed
    notebook.notebook_box.check()
    text = notebook.complete(PROMPT)
    assert text.startswith(PROMPT)
    assert text.removeprefix(PROMPT).strip() == corpus.SNAKE['python'].strip()
    assert f'USER: {SNAKE}  PLAINFORMAT ASSISTANT:' in server.log()[before:]
    notebook.shot('notebook-plainformat')
    assert_below(notebook.notebook_box, notebook.page.locator('#textbox-notebook textarea'))


def test_one_box_in_every_tab(notebook):
    notebook.notebook_box.check()
    notebook.tab('Chat')
    expect(notebook.box).to_be_checked()
    notebook.plainformat(False)
    notebook.notebook()
    expect(notebook.notebook_box).not_to_be_checked()


def test_a_text_that_is_not_a_chat_is_sent_unchanged(notebook, server):
    notebook.notebook_box.check()
    before = len(server.log())
    notebook.complete('Once upon a time')
    assert 'PLAINFORMAT' not in server.log()[before:]


def test_the_box_is_hidden_without_a_model(notebook):
    notebook.tab('Model')
    notebook.press('Unload')
    notebook.idle()
    notebook.notebook()
    expect(notebook.notebook_box).to_be_hidden()
    notebook.load(MODEL)
    notebook.notebook()
    expect(notebook.notebook_box).to_be_visible()


@pytest.fixture
def default_tab(make_webui, start, browser):
    """A page with two columns, text and output: the Default tab before v3.5, the Notebook tab with a setting since."""
    webui = make_webui('default-tab')
    settings = {'dark_theme': False, 'show_two_notebook_columns': True, 'airoboros_gptq-load_at_start': MODEL}
    (webui_server.data_folder(webui) / 'settings.yaml').write_text(yaml.dump(settings))
    server = start(webui, '--extensions', 'airoboros_gptq').wait()
    page = Page(browser, server.url)
    page.tab('Default' if page.page.get_by_role('tab', name='Default', exact=True).count() else 'Notebook')
    yield page
    page.close()
    server.stop()
    assert 'Traceback' not in server.log()


def test_the_default_tab_has_the_box_too(default_tab, corpus):
    box = default_tab.page.locator('#gptq-plainformat-default').get_by_label('PLAINFORMAT', exact=True)
    box.check()
    output = default_tab.complete(PROMPT, 'textarea:visible', '#textbox-default textarea')
    assert output.removeprefix(PROMPT).strip() == corpus.SNAKE['python'].strip()
    default_tab.shot('default-plainformat')
    assert_below(box, default_tab.page.locator('textarea:visible').first)


def assert_below(box, text):
    """The text keeps its width."""
    box, text = box.bounding_box(), text.bounding_box()
    assert box['y'] >= text['y'] + text['height'], (box, text)
