"""Puts components into a block of the webui's page that is already closed."""

from __future__ import annotations

from contextlib import contextmanager


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
