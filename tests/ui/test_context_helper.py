"""The context helper's events, without a browser."""

from importlib import import_module

import pytest
from airoboros_gptq.airoboros.context_obedient import MAX_SOURCES

gr = pytest.importorskip('gradio', reason='the components need gradio', exc_type=ImportError)
context_helper = import_module('airoboros_gptq.ui.context_helper').context_helper

EMPTY = ['', ''] * (MAX_SOURCES - 1)
PROMPT = 'BEGININPUT\nBEGINCONTEXT\nENDCONTEXT\nA.\nENDINPUT\nBEGININSTRUCTION\nQ\nENDINSTRUCTION'


@pytest.fixture
def events():
    """The handlers of the two buttons, by the function's name; the message box takes a prompt in capitals."""
    with gr.Blocks() as page:
        context_helper(gr.Textbox(), str.upper)
    return {event.fn.__name__: event.fn for event in page.fns.values()}


def test_the_prompt_goes_into_the_message_box(events):
    assert events['put_prompt']('Q', 'A.', '', *EMPTY) == (PROMPT.upper(), '')
    assert events['put_prompt']('Q', 'A.', None, *[None] * len(EMPTY)) == (PROMPT.upper(), '')


@pytest.mark.parametrize(
    ('question', 'text', 'about', 'error'),
    [
        ('', 'A.', '', 'There is no question'),
        ('Q', '', '', 'There is no source'),
        (None, 'A.', '', 'There is no question'),
    ],
)
def test_an_error_leaves_the_message_box(events, question, text, about, error):
    message, shown = events['put_prompt'](question, text, about, *EMPTY)
    assert message == gr.update() and error in shown


def test_sources_are_added_up_to_the_most(events):
    count, button, *groups = events['_show_one_more'](1)
    assert count == 2 and button['interactive'] is True
    assert [group['visible'] for group in groups] == [True, True] + [False] * (MAX_SOURCES - 2)
    for _ in range(MAX_SOURCES):
        count, button, *groups = events['_show_one_more'](count)
    assert count == MAX_SOURCES and button['interactive'] is False
    assert all(group['visible'] for group in groups)
