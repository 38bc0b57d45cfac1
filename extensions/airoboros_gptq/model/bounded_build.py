"""Bounds what transformers may do while it builds a model from a stranger's config.json.

It loops and allocates by numbers in there, in a way of its own for each architecture: layers, experts, heads, tables of
positions. So not the numbers are bounded but what comes of them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ..util.formatting import format_bytes

MIN_PARTS = 20_000  # that a model may have, whatever its file has: a vision tower may not be in it
PARTS_PER_TENSOR = 10  # modules and parameters for each tensor of the file
MIN_BYTES = 1 << 30
BYTES_PER_BYTE = 8  # of the checkpoint: a parameter of fp32 for codes of four bits


class TooLargeError(Exception):
    """A config describes a model far beyond its checkpoint."""


@contextlib.contextmanager
def bounded_build(tensors: int, size: int) -> Iterator[None]:
    """Within it, modules and parameters that this thread makes, and the memory that it computes into, are bounded by those of a
    checkpoint of so many tensors and bytes. Raises TooLargeError in the midst of what goes beyond.
    """
    limit, thread, count = MIN_PARTS + PARTS_PER_TENSOR * tensors, threading.get_ident(), 0

    def count_part(*args: object) -> None:
        nonlocal count
        count += threading.get_ident() == thread
        if count > limit:
            raise TooLargeError(f'it would have more than {limit:,} parts, and there are {tensors:,} tensors')

    hooks = [
        register_module_module_registration_hook(count_part),
        register_module_parameter_registration_hook(count_part),
    ]
    try:
        with _BoundedMemory(MIN_BYTES + BYTES_PER_BYTE * size):
            yield
    finally:
        for hook in hooks:
            hook.remove()


class _BoundedMemory(TorchDispatchMode):
    """Asks of each operation how large its result is, by doing it on the meta device first. What is only allocated, as parameters
    are, takes no memory until it is written to.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = self._left = limit

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not (func._schema.is_mutable or func.is_view or func.__name__.startswith('empty')):
            self._left -= _result_bytes(func, args, kwargs)
            if self._left < 0:
                raise TooLargeError(f'it would need more than {format_bytes(self._limit)} before any weight is read')
        return func(*args, **kwargs)


def _result_bytes(func: Any, args: Any, kwargs: Any) -> int:
    """0 where the meta device cannot tell."""
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    if any(t.is_meta for t in tensors):
        return 0
    arguments, named = tree_map(lambda x: x.to('meta') if isinstance(x, torch.Tensor) else x, (args, kwargs))
    if not tensors or named.get('device') is not None:
        named = {**named, 'device': 'meta'}
    try:
        results = tree_leaves(func(*arguments, **named))
    except Exception:
        return 0
    return sum(t.numel() * t.element_size() for t in results if isinstance(t, torch.Tensor))
