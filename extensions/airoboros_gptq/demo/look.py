"""How the demo page looks: theme, style sheet, heading, sliders and the status line."""

from __future__ import annotations

import time
from html import escape

import gradio as gr

from ..airoboros.conversation import SAMPLING, missing_template
from ..ui import html
from .examples import RANGES
from .loader import LoadState, ModelLoader

# Fonts of the system: gradio's own would be fetched from a server.
THEME = gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])

HEADING = '<h1>airoboros-GPTQ</h1><p>Chat with GPTQ models on this machine. There is nothing you must compile.</p>'

CSS = (
    html.CSS
    + """
footer { display: none !important; }
h1 { font-size: 1.5em; font-weight: 600; margin: 0; }
#chat { height: 52vh; min-height: 260px; }
#status { font-size: 0.9em; line-height: 1.5; overflow-wrap: anywhere; }
#status progress { width: 100%; height: 6px; accent-color: var(--primary-500); }
#examples { gap: 6px; flex-wrap: wrap; }
#examples button { flex: 0 1 auto; min-width: 0; width: auto; white-space: normal; text-align: left; font-weight: 400; }
#model input { padding-right: 2em; text-overflow: ellipsis; } /* clear of the arrow */
.pending { opacity: 1 !important; } /* a refresh twice a second is nothing to fade for */
#chat-error:not(:has(.gptq-error)) { display: none; }
@media (max-width: 700px) {
    #chat { height: 40vh; }
    h1 + p { display: none; }
    #chat-buttons { flex-wrap: nowrap; gap: 6px; }
    #chat-buttons button { padding-left: 4px; padding-right: 4px; min-width: 0 !important; font-size: 0.85em; }
    #examples { flex-wrap: nowrap; overflow-x: auto; }
    #examples button { flex: 0 0 auto; max-width: 75vw; }
}
"""
)


def slider(name: str, least: float, most: float, value: float, step: float) -> gr.Slider:
    """A slider. What is typed beside it and is too much or too little becomes the nearest that is allowed: gradio would
    refuse the message, with a traceback in the terminal.
    """
    made = gr.Slider(least, most, value, step=step, label=name)
    setattr(made, 'preprocess', lambda given: value if given is None else min(max(given, least), most))  # noqa: B010
    return made


def sampling_slider(name: str) -> gr.Slider:
    """The slider of a sampling parameter."""
    return slider(name, *RANGES[name], SAMPLING[name], step=0.05)


def status_html(loader: ModelLoader) -> str:
    """What is loaded, or how far a load is, or why it failed. Names and errors are text, never markup."""
    state, loaded = loader.state, loader.loaded
    if state.loading:
        text = _loading_html(state)
    else:
        text = f'<div class="gptq-error">{escape(state.error)}</div>' if state.error else ''
        if loaded is not None:
            details = html.status_line_html(loader.session.running, loader.session.throughput)
            text += f'<b>{escape(loaded.folder.name)}</b> is loaded.{details}'
            text += f' {escape(missing_template(loader.session.tokenizer, loader.session.airoboros) or "")}'.rstrip()
    return f'<div data-version="{state.version}">{text or "No model is loaded: pick one and press Load."}</div>'


def _loading_html(state: LoadState) -> str:
    name = escape(state.request.folder.name) if state.request else ''
    seconds = int(time.monotonic() - state.began)
    share = '' if state.share is None else f', {state.share:.0%}'
    bar = '<progress></progress>' if state.share is None else f'<progress value="{state.share:.3f}"></progress>'
    return f'Loading <b>{name}</b>: {escape(state.step or "reading the folder")}{share} ({seconds} s){bar}'
