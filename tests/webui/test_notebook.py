"""The Notebook and Default tabs: the PLAINFORMAT box there, and a prompt that is sent with it."""

import pytest
from playwright.sync_api import expect

from .conftest import MODEL

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
    assert text.startswith(PROMPT) and '```' in text  # the page keeps what was typed
    notebook.notebook_box.check()
    text = notebook.complete(PROMPT)
    assert text.startswith(PROMPT)
    assert text.removeprefix(PROMPT).strip() == corpus.SNAKE['python'].strip()
    assert f'USER: {SNAKE}  PLAINFORMAT ASSISTANT:' in server.log()[before:]
    notebook.shot('notebook-plainformat')


def test_one_box_in_every_tab(notebook):
    notebook.notebook_box.check()
    notebook.tab('Chat')
    expect(notebook.box).to_be_checked()
    notebook.plainformat(False)
    notebook.notebook()
    expect(notebook.notebook_box).not_to_be_checked()


def test_a_text_that_is_no_chat_is_sent_as_it_is(notebook, server):
    notebook.notebook_box.check()
    before = len(server.log())
    notebook.complete('Once upon a time')
    assert 'PLAINFORMAT' not in server.log()[before:]


def test_the_box_goes_with_the_model(notebook):
    notebook.tab('Model')
    notebook.press('Unload')
    notebook.idle()
    notebook.notebook()
    expect(notebook.notebook_box).to_be_hidden()
    notebook.load(MODEL)
    notebook.notebook()
    expect(notebook.notebook_box).to_be_visible()
