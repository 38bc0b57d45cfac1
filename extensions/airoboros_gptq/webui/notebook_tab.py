"""The Notebook and Default tabs: the PLAINFORMAT box of the Chat tab again, and the prompt as it is sent."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.layouts import Form
from modules import shared

from ..airoboros.plainformat import add_plainformat_to_prompt
from ..names import PLAINFORMAT, PLAINFORMAT_DEFAULT, PLAINFORMAT_NOTEBOOK
from ..ui import controls
from . import chat_tab
from .gradio_layout import insert_after

_TEXTBOX = {PLAINFORMAT_NOTEBOOK: 'textbox-notebook', PLAINFORMAT_DEFAULT: 'textbox-default'}


def create(key: str) -> None:
    """Creates the box of one tab below its text, hidden until a model that was trained with PLAINFORMAT is loaded."""
    text = shared.gradio[_TEXTBOX[key]]
    while isinstance(text.parent, (gr.Row, Form)):  # inside one the box would stand beside the text and halve its width
        text = text.parent
    with insert_after(text):
        shared.gradio[key] = controls.plainformat_box(elem_id=key.replace('_', '-'), visible=False)


def create_events() -> None:
    """Keeps the boxes of the three tabs alike: the value that counts is the Chat tab's."""
    box = shared.gradio[PLAINFORMAT]
    # Handlers that show the boxes look all of them up: a webui without one of these tabs gets a State in its place.
    others = [shared.gradio.setdefault(key, gr.State(None)) for key in _TEXTBOX]
    box.change(None, box, others, js=f'(on) => Array({len(others)}).fill(on)', show_progress=False)
    for other in others:
        other.input(None, other, box, js='(on) => on', show_progress=False)


def modify_prompt(prompt: str, state: dict[str, Any]) -> str:
    """A prompt of these tabs as it is sent. The text on the page stays as it was typed."""
    if not (state.get(PLAINFORMAT) and chat_tab.offers_plainformat()):
        return prompt
    return add_plainformat_to_prompt(prompt, chat_tab.plainformat_spaces())
