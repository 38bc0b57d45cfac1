"""The Notebook and Default tabs: the chat's PLAINFORMAT box once more, and the prompt as it is sent from there."""

from __future__ import annotations

import gradio as gr
from gradio.layouts import Form
from modules import shared

from ..airoboros.plainformat import add_plainformat_to_prompt
from ..names import PLAINFORMAT, PLAINFORMAT_DEFAULT, PLAINFORMAT_NOTEBOOK
from ..ui import controls
from . import chat_tab
from .gradio_layout import below

_TEXTBOX = {PLAINFORMAT_NOTEBOOK: 'textbox-notebook', PLAINFORMAT_DEFAULT: 'textbox-default'}


def create(key: str) -> None:
    """The box of one tab, below its text. Hidden until a model that knows PLAINFORMAT is loaded."""
    text = shared.gradio[_TEXTBOX[key]]
    while isinstance(text.parent, (gr.Row, Form)):  # in them it would stand beside the text, and take half its width
        text = text.parent
    with below(text):
        shared.gradio[key] = controls.plainformat_box(elem_id=key.replace('_', '-'), visible=False)


def create_events() -> None:
    """One box that is shown in three places: what is ticked in one is ticked in all, and kept as the chat's."""
    box = shared.gradio[PLAINFORMAT]
    # A webui without one of these tabs has an invisible stand-in: whoever shows the boxes looks all of them up.
    others = [shared.gradio.setdefault(key, gr.State(None)) for key in _TEXTBOX]
    box.change(None, box, others, js=f'(on) => Array({len(others)}).fill(on)', show_progress=False)
    for other in others:
        other.input(None, other, box, js='(on) => on', show_progress=False)


def modify_prompt(prompt: str, state: dict) -> str:
    """A prompt of these tabs as it is sent. The text on the page stays as it was typed."""
    if not (state.get(PLAINFORMAT) and chat_tab.offers_plainformat()):
        return prompt
    return add_plainformat_to_prompt(prompt, chat_tab.spaces())
