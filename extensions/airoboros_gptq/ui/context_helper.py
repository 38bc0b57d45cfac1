"""The context-obedient helper: sources and a question in, the finished prompt into the message box."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from ..airoboros.context_obedient import MAX_SOURCES, Source, context_prompt
from ..errors import GPTQError
from . import html as view


def context_helper(message: gr.components.Component, as_message: Callable = str, **kwargs) -> gr.Accordion:
    """The accordion, with its events. `as_message` makes of the prompt what the component `message` takes as its value."""
    with gr.Accordion('Answer from sources', open=False, elem_id='context-helper', **kwargs) as accordion:
        groups, fields = [], []
        for number in range(1, MAX_SOURCES + 1):
            with gr.Group(visible=number == 1) as group:
                fields += _source(number)
            groups.append(group)
        add = gr.Button('Add source', size='sm')
        question = gr.Textbox(label='Question', lines=2, elem_id='context-question')
        fill = gr.Button('Put into the message box', size='sm')
        told = gr.HTML('')
        shown = gr.State(1)

    def add_source(count):
        count = min(count + 1, MAX_SOURCES)
        visible = [gr.update(visible=i < count) for i in range(MAX_SOURCES)]
        return count, gr.update(interactive=count < MAX_SOURCES), *visible

    def put(asked, *values):
        texts, contexts = values[::2], values[1::2]
        sources = [Source(text or '', context or '') for text, context in zip(texts, contexts, strict=True)]
        try:
            return as_message(context_prompt(sources, asked or '')), ''
        except GPTQError as e:
            return gr.update(), view.error_html(str(e))

    add.click(add_source, shown, [shown, add, *groups], show_progress='hidden')
    fill.click(put, [question, *fields], [message, told], show_progress='hidden')
    return accordion


def _source(number: int) -> list[gr.Textbox]:
    return [
        gr.Textbox(label=f'Source {number}', lines=4, max_lines=12, elem_id=f'context-source-{number}'),
        gr.Textbox(
            label=f'About source {number}',
            lines=2,
            placeholder='url: https://example.com\ndate: 2021-01-01',
            info='One "key: value" a line; may be left empty.',
            elem_id=f'context-about-{number}',
        ),
    ]
