"""The context helper: takes sources and a question, and writes a context-obedient prompt into the message box."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ..airoboros.context_obedient import MAX_SOURCES, Source, context_prompt
from ..errors import GPTQError
from . import html


def context_helper(
    message: gr.components.Component, to_message: Callable[[str], Any] = str, **kwargs: Any
) -> gr.Accordion:
    """The accordion, with its events. `to_message` turns the prompt into a value of the component `message`."""
    with gr.Accordion('Answer from sources', open=False, elem_id='context-helper', **kwargs) as accordion:
        groups, fields = [], []
        for number in range(1, MAX_SOURCES + 1):
            with gr.Group(visible=number == 1) as group:
                fields += _source_fields(number)
            groups.append(group)
        add = gr.Button('Add source', size='sm')
        question = gr.Textbox(label='Question', lines=2, elem_id='context-question')
        put = gr.Button('Put into the message box', size='sm')
        error = gr.HTML('')
        count = gr.State(1)

    def put_prompt(question: str | None, *values: str | None) -> tuple[Any, str]:
        try:
            return to_message(_prompt(question, values)), ''
        except GPTQError as e:
            return gr.update(), html.error_html(str(e))

    add.click(_show_one_more, count, [count, add, *groups], show_progress='hidden')
    put.click(put_prompt, [question, *fields], [message, error], show_progress='hidden')
    return accordion


def _source_fields(number: int) -> list[gr.Textbox]:
    return [
        gr.Textbox(label=f'Source {number}', lines=4, max_lines=12, elem_id=f'context-source-{number}'),
        gr.Textbox(
            label=f'About source {number}',
            lines=2,
            placeholder='url: https://example.com\ndate: 2021-01-01',
            info='One "key: value" per line. Optional.',
            elem_id=f'context-about-{number}',
        ),
    ]


def _show_one_more(count: int) -> tuple[Any, ...]:
    """Values of the count, of the button, and of the groups of fields."""
    count = min(count + 1, MAX_SOURCES)
    visibility = [gr.update(visible=i < count) for i in range(MAX_SOURCES)]
    return count, gr.update(interactive=count < MAX_SOURCES), *visibility


def _prompt(question: str | None, values: tuple[str | None, ...]) -> str:
    """`values` are text and metadata of each source in turn. Raises GPTQError."""
    sources = [Source(text or '', about or '') for text, about in zip(values[::2], values[1::2], strict=True)]
    return context_prompt(sources, question or '')
