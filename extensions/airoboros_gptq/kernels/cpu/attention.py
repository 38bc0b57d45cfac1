"""The compiled attention as a function over tensors, and the same spelled out in fp64."""

from __future__ import annotations

import ctypes

import torch

from .dtypes import DTYPE_CODES

HEAD_DIM_MULTIPLE, MAX_HEAD_DIM = 16, 256


def attend(
    library: ctypes.CDLL, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> torch.Tensor:
    """query [1, H, n, D], key and value [1, H_kv, K, D] of one of DTYPE_CODES, to [1, n, H, D]; H_kv divides H.

    The queries are those of the last n of K tokens: each sees the keys up to its own. D is a multiple of HEAD_DIM_MULTIPLE
    and at most MAX_HEAD_DIM; a tensor whose last axis is not contiguous is copied. Raises MemoryError.
    """
    _, heads, q_len, dim = query.shape
    query, key, value = (t if t.stride(3) == 1 else t.contiguous() for t in (query, key, value))
    y = torch.empty(1, q_len, heads, dim, dtype=query.dtype)
    strides = [t.stride(axis) for t in (query, key, value) for axis in (1, 2)]
    sizes = (ctypes.c_int64 * 11)(heads, key.shape[1], q_len, dim, key.shape[2], *strides)
    failed = library.gptq_attention(
        query.data_ptr(),
        key.data_ptr(),
        value.data_ptr(),
        y.data_ptr(),
        DTYPE_CODES[query.dtype],
        sizes,
        scale,
        torch.get_num_threads(),
    )
    if failed:
        raise MemoryError(f'no memory for the attention of {q_len} rows')
    return y


def reference(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """attend() by the formula softmax(q kᵀ * scale) v, in fp64: [1, n, H, D] of fp64."""
    heads_per_kv, q_len, kv_len = query.shape[1] // key.shape[1], query.shape[2], key.shape[2]
    key, value = (t.double().repeat_interleave(heads_per_kv, 1) for t in (key, value))
    scores = query.double() @ key.transpose(2, 3) * scale
    visible = torch.ones(q_len, kv_len, dtype=torch.bool).tril(kv_len - q_len)
    weights = scores.masked_fill(~visible, -torch.inf).softmax(3)
    return (weights @ value).transpose(1, 2)
