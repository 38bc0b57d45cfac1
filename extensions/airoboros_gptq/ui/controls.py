"""The components: menus of checkpoint, kernel and format, the facts, the PLAINFORMAT boxes and the status line."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..checkpoint.quantize_config import FORMATS
from ..kernels.rules import KERNEL_NAMES


def checkpoint_dropdown(**kwargs: Any) -> gr.Dropdown:
    """Which file of the folder to load. Custom values are allowed: Load reports an outdated name in one sentence, where
    gradio's check would fail every event that reads the page's values.
    """
    return gr.Dropdown(
        label='checkpoint',
        choices=[],
        value='',
        allow_custom_value=True,
        info='The file to load. Preselected from quantize_config.json; change it if the folder has several.',
        elem_classes='gptq-checkpoint',
        **kwargs,
    )


def kernel_dropdown(**kwargs: Any) -> gr.Dropdown:
    """Which kernel multiplies by the quantised weights."""
    return gr.Dropdown(
        label='kernel',
        choices=list(KERNEL_NAMES),
        value='auto',
        info='auto: the fastest that supports this model and device. reference: slow and exact.',
        **kwargs,
    )


def format_dropdown(**kwargs: Any) -> gr.Dropdown:
    """The zero-point encoding of the file. Custom values are allowed, as for the checkpoint."""
    return gr.Dropdown(
        label='format',
        choices=['auto', *FORMATS],
        value='auto',
        allow_custom_value=True,
        info='Zero-point encoding: gptq stores zero-1, gptq_v2 stores zero. Try the other if the model writes gibberish.',
        **kwargs,
    )


def facts_box(**kwargs: Any) -> gr.HTML:
    """The place of html.facts_html."""
    return gr.HTML(value='', **kwargs)


def always_plainformat_box(**kwargs: Any) -> gr.Checkbox:
    """The setting that shows the PLAINFORMAT box for every model loaded with airoboros-GPTQ."""
    return gr.Checkbox(
        label='PLAINFORMAT box for every model',
        info='Shows the box in the Chat tab for models that are not an Airoboros too. The Session tab\'s "Save extensions '
        'settings" keeps this choice.',
        elem_classes='gptq-always',
        **kwargs,
    )


def status_line(**kwargs: Any) -> gr.HTML:
    """The place of html.status_line_html."""
    return gr.HTML(value='', **kwargs)


def plainformat_box(elem_id: str = 'plainformat', **kwargs: Any) -> gr.Checkbox:
    """Ticked: the instruction ends with PLAINFORMAT and the model answers with bare code."""
    return gr.Checkbox(label='PLAINFORMAT', value=False, elem_id=elem_id, container=False, **kwargs)
