"""Adds components to a block of the webui's page that is already closed, and keeps the page working if that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from modules.logging_colors import logger

from ..names import EXTENSION, MODEL_SETTINGS


@contextmanager
def reopen(block: Any) -> Iterator[None]:
    """`with block:` for a block that was closed before: gradio would make the block that is open now its parent."""
    parent = block.parent
    try:
        with block:
            yield
    finally:
        block.parent = parent


@contextmanager
def insert_after(block: Any) -> Iterator[None]:
    """Components created inside stand right after `block`, in the block that holds it."""
    parent = block.parent
    count = len(parent.children)
    with reopen(parent):
        yield
    added = parent.children[count:]
    del parent.children[count:]
    at = parent.children.index(block) + 1
    parent.children[at:at] = added


def on_page_load(js: str) -> None:
    """Calls a JavaScript function once when a page is open, to start a MutationObserver.

    Gradio's events do not do for that: Markdown fires `change` each time it is rendered, and a handler of it renders the page
    again, an endless loop that takes a whole core of the browser.
    """
    from modules import shared

    shared.gradio['interface'].load(None, None, None, js=js)


def create_or_hide(create: Callable[[], object], keys: tuple[str, ...]) -> None:
    """Creates components. If that fails, hidden ones take their keys: the webui looks all of them up by key."""
    try:
        create()
    except Exception:
        import gradio as gr
        from modules import shared

        logger.exception(f'{EXTENSION}: its part of the page could not be created.')
        for key in keys:
            if key not in shared.gradio:
                shared.gradio[key] = gr.State(MODEL_SETTINGS.get(key))


def create_events(create: Callable[[], object], tab: str) -> None:
    """Creates the events of a tab, named in the log. If that fails, the webui starts without them."""
    try:
        create()
    except Exception:
        logger.exception(f'{EXTENSION}: the events of {tab} could not be created.')
