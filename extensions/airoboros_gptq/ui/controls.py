"""The components themselves: which checkpoint, kernel and format, the facts, and the PLAINFORMAT box."""

from __future__ import annotations

import gradio as gr

from ..checkpoint.quantize_config import FORMATS
from ..kernels.rules import KERNEL_NAMES


def checkpoint_dropdown(**kwargs) -> gr.Dropdown:
    """Which file of the folder to load. Custom values are let through: a stale name gets our sentence at Load,
    where gradio's own check would stop every event that reads the page's state.
    """
    return gr.Dropdown(
        label='checkpoint',
        choices=[],
        value='',
        allow_custom_value=True,
        info='Which file to load. Chosen by the config; change it where the folder holds several.',
        **kwargs,
    )


def kernel_dropdown(**kwargs) -> gr.Dropdown:
    """Which kernel multiplies by the quantised weights."""
    return gr.Dropdown(
        label='kernel',
        choices=list(KERNEL_NAMES),
        value='auto',
        info='auto takes the fastest that fits the file and the device; reference is slow and exact.',
        **kwargs,
    )


def format_dropdown(**kwargs) -> gr.Dropdown:
    """How the file stores its zero points. Custom values are let through, as with the checkpoint."""
    return gr.Dropdown(
        label='format',
        choices=['auto', *FORMATS],
        value='auto',
        allow_custom_value=True,
        info='How zero points are stored. Where a model writes gibberish and no config names its format, try the other.',
        **kwargs,
    )


def facts_box(**kwargs) -> gr.HTML:
    """Where what was read of the folder is shown."""
    return gr.HTML(value='', **kwargs)


def always_plainformat_box(**kwargs) -> gr.Checkbox:
    """Ticked: the PLAINFORMAT box is there for every model of ours, not for an Airoboros alone."""
    return gr.Checkbox(
        label='PLAINFORMAT box for every model',
        info='Shows the PLAINFORMAT box for models that are no Airoboros, too. The Session tab keeps this with '
        '"Save extensions settings".',
        **kwargs,
    )


def glance(**kwargs) -> gr.HTML:
    """One quiet line: what is loaded, how it runs, and how fast the last answer came."""
    return gr.HTML(value='', **kwargs)


def plainformat_box(elem_id: str = 'plainformat', **kwargs) -> gr.Checkbox:
    """Ticked: the instruction ends with PLAINFORMAT and the model answers with bare code."""
    return gr.Checkbox(label='PLAINFORMAT', value=False, elem_id=elem_id, container=False, **kwargs)
