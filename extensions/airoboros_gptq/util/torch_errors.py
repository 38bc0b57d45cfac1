"""Errors of PyTorch, told apart without importing it."""

from __future__ import annotations


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. PyTorch's CPU allocator raises a plain RuntimeError, its CUDA allocator an OutOfMemoryError."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {'MemoryError', 'OutOfMemoryError'}) or 'allocate memory' in str(error)
