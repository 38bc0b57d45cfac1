"""Puts components into a block of the webui's page that is already closed."""

from __future__ import annotations

from contextlib import contextmanager


@contextmanager
def inside(block):
    """Like `with block:`, but what is open now is open again afterwards: gradio would leave the block's parent open."""
    from gradio.context import Context

    before = Context.block
    try:
        with block:
            yield
    finally:
        Context.block = before
