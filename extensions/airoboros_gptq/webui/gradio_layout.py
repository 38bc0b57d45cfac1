"""Puts components into a block of the webui's page that is already closed, and sees that the page opens all the same."""

from __future__ import annotations

from contextlib import contextmanager

from modules.logging_colors import logger

from ..names import MODEL_SETTINGS


@contextmanager
def inside(block):
    """Like `with block:`, for a block that was closed before: gradio would take what is open now for its parent."""
    parent = block.parent
    try:
        with block:
            yield
    finally:
        block.parent = parent


@contextmanager
def below(block):
    """Components made here stand right below `block`, in the block that holds it."""
    parent = block.parent
    count = len(parent.children)
    with inside(parent):
        yield
    added = parent.children[count:]
    del parent.children[count:]
    at = parent.children.index(block) + 1
    parent.children[at:at] = added


def watch(js: str) -> None:
    """Has a page call a function of JavaScript once, when it is open, to watch what is drawn by a MutationObserver. An event
    of gradio's would not do: Markdown says `change` whenever it is drawn, the function that is called for it has the page
    drawn anew, and so without end; the browser takes a whole core for it.
    """
    from modules import shared

    shared.gradio['interface'].load(None, None, None, js=js)


def create_or_stand_in(make, keys) -> None:
    """Makes components. Should it fail, invisible ones stand in: the webui looks all of them up by name."""
    try:
        make()
    except Exception:
        import gradio as gr
        from modules import shared

        logger.exception('airoboros_gptq: its part of the page could not be made.')
        for key in keys:
            if key not in shared.gradio:
                shared.gradio[key] = gr.State(MODEL_SETTINGS.get(key))


def create_events(make, tab: str) -> None:
    """Makes the events of a tab, named for the log. Should it fail, the webui starts without them."""
    try:
        make()
    except Exception:
        logger.exception(f'airoboros_gptq: the events of {tab} could not be made.')
