"""The compiled attention as a function over tensors, and the slow one that it is held to."""

from __future__ import annotations

import ctypes

import torch

from .dtypes import TYPES

HEAD_MULTIPLE, LARGEST_HEAD = 16, 256


def attend(
    library: ctypes.CDLL, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> torch.Tensor:
    """query [1, H, n, D], key and value [1, H / shared, K, D] of one of TYPES, to [1, n, H, D].

    The queries are those of the last n keys: each sees the keys up to its own. D is a multiple of HEAD_MULTIPLE and at most
    LARGEST_HEAD; only within a head's D numbers must there be no gaps. Raises MemoryError.
    """
    _, heads, rows, dim = query.shape
    query, key, value = (t if t.stride(3) == 1 else t.contiguous() for t in (query, key, value))
    y = torch.empty(1, rows, heads, dim, dtype=query.dtype)
    strides = [t.stride(axis) for t in (query, key, value) for axis in (1, 2)]
    sizes = (ctypes.c_int64 * 11)(heads, key.shape[1], rows, dim, key.shape[2], *strides)
    failed = library.gptq_attend(
        query.data_ptr(),
        key.data_ptr(),
        value.data_ptr(),
        y.data_ptr(),
        TYPES[query.dtype],
        sizes,
        scale,
        torch.get_num_threads(),
    )
    if failed:
        raise MemoryError(f'no memory for the attention of {rows} rows')
    return y


def reference(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """attend() spelled out, in fp64: to [1, n, H, D] of fp64."""
    shared, rows, keys = query.shape[1] // key.shape[1], query.shape[2], key.shape[2]
    key, value = (t.double().repeat_interleave(shared, 1) for t in (key, value))
    scores = query.double() @ key.transpose(2, 3) * scale
    seen = torch.ones(rows, keys, dtype=torch.bool).tril(keys - rows)
    weights = scores.masked_fill(~seen, -torch.inf).softmax(3)
    return (weights @ value).transpose(1, 2)
