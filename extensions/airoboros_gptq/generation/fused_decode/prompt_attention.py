"""Rotary embedding and attention of a short prompt over a KV cache that is found through a table of addresses.

`state` int64 [3]: tokens in the cache, its capacity, tokens of the prompt; `addresses` int64 [2 * layers], as in
captured_graph.py. Softmax is computed online, in fp32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ...kernels.triton.dtypes import TRITON_TYPES
from .activation import tanh
from .prefill_kernels import rotate_heads

_TOKENS, _QUERIES, _KEYS = 32, 16, 64  # of a program; of a block of the cache


@triton.jit(do_not_specialize=['layer'])
def _rotate_into_cache_kernel(
    qkv, q_norm, k_norm, cos, sin, state, addresses, layer, queries, size, epsilon,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, PAD: tl.constexpr, CACHE: tl.constexpr,
    HAS_NORMS: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    length, capacity, count = tl.load(state), tl.load(state + 1), tl.load(state + 2)
    t = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    d = tl.arange(0, PAD)
    in_head = (d < DIM)[None, :]
    inside = (t < count)[:, None] & in_head
    row = qkv + (t * (HEADS + 2 * KV_HEADS) + head)[:, None] * DIM
    value = tl.load(row + d[None, :], mask=inside, other=0).to(tl.float32)
    if head < HEADS + KV_HEADS:
        value = rotate_heads(
            value, row, (length + t)[:, None], inside, head, q_norm, k_norm, cos, sin, epsilon, HEADS, DIM, PAD, HAS_NORMS
        )  # fmt: skip
    if head < HEADS:
        target = queries + (t * HEADS + head)[:, None] * DIM + d[None, :]
        tl.store(target, value.to(queries.dtype.element_ty), mask=(t < size)[:, None] & in_head)
    else:
        kv = head - HEADS
        entry = 2 * layer
        if kv >= KV_HEADS:
            kv -= KV_HEADS
            entry += 1
        base = tl.load(addresses + entry).to(tl.pointer_type(CACHE)) + kv * capacity * DIM
        base = tl.multiple_of(base, 16)
        tl.store(base + (length + t)[:, None] * DIM + d[None, :], value.to(CACHE), mask=inside)


@triton.jit(do_not_specialize=['layer'])
def _attend_kernel(
    queries, state, addresses, layer, y, size, scale, softcap,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, PAD: tl.constexpr, CACHE: tl.constexpr,
    WINDOW: tl.constexpr, HAS_SOFTCAP: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """QUERIES rows of one head: queries [size, HEADS, DIM] to y [size, HEADS, DIM]. WINDOW is 0 for none."""
    head = tl.program_id(1)
    length, capacity, count = tl.load(state), tl.load(state + 1), tl.load(state + 2)
    kv_head = head // (HEADS // KV_HEADS)
    row = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    d = tl.arange(0, PAD)
    in_head = d < DIM
    at = (row * HEADS + head)[:, None] * DIM + d[None, :]
    is_query = (row < size)[:, None] & in_head[None, :]
    q = tl.load(queries + at, mask=is_query, other=0)
    keys = tl.load(addresses + 2 * layer).to(tl.pointer_type(CACHE)) + kv_head * capacity * DIM
    values = tl.load(addresses + 2 * layer + 1).to(tl.pointer_type(CACHE)) + kv_head * capacity * DIM
    keys, values = tl.multiple_of(keys, 16), tl.multiple_of(values, 16)
    m_i = tl.full([QUERIES], float('-inf'), tl.float32)
    l_i = tl.zeros([QUERIES], tl.float32)
    acc = tl.zeros([QUERIES, PAD], tl.float32)
    begin = length * 0
    if WINDOW > 0:
        begin = tl.maximum(length + tl.program_id(0) * QUERIES + 1 - WINDOW, 0)
    end = length + tl.minimum(count, (tl.program_id(0) + 1) * QUERIES)
    for start in range(begin, end, KEYS):
        t = start + tl.arange(0, KEYS)
        inside = t < end
        k = tl.load(keys + t[None, :] * DIM + d[:, None], mask=inside[None, :] & in_head[:, None], other=0)
        v = tl.load(values + t[:, None] * DIM + d[None, :], mask=inside[:, None] & in_head[None, :], other=0)
        s = tl.dot(q, k, input_precision='ieee') * scale
        if HAS_SOFTCAP:
            s = softcap * tanh(s / softcap)
        is_seen = inside[None, :] & (t[None, :] <= (length + row)[:, None])
        if WINDOW > 0:
            is_seen = is_seen & (t[None, :] > (length + row)[:, None] - WINDOW)
        s = tl.where(is_seen, s, float('-inf'))
        m_new = tl.maximum(m_i, tl.max(s, 1))
        if WINDOW > 0:
            m_new = tl.maximum(m_new, -1e30)  # a row that sees nothing of this block and of those before
        rescale = tl.exp(m_i - m_new)
        p = tl.exp(s - m_new[:, None])
        l_i = l_i * rescale + tl.sum(p, 1)
        acc = acc * rescale[:, None] + tl.dot(p.to(CACHE), v, input_precision='ieee')
        m_i = m_new
    tl.store(y + at, (acc / l_i[:, None]).to(y.dtype.element_ty), mask=is_query)


def rotate_into_cache(
    qkv: torch.Tensor, plan, state: torch.Tensor, addresses: torch.Tensor, layer: int
) -> torch.Tensor:
    """qkv [n, heads + 2 kv_heads, dim] to queries [n, heads, dim], behind their norm where the layer has one, with their rotary
    embedding; keys, in the same way, and values go behind the tokens in the cache.
    """
    size, all_heads, dim = qkv.shape
    heads, of_layer = plan.heads, plan.layers[layer]
    queries = torch.empty(size, heads, dim, dtype=qkv.dtype, device=qkv.device)
    _rotate_into_cache_kernel[(triton.cdiv(size, _TOKENS), all_heads)](
        qkv, *of_layer.head_norms, *of_layer.rotary, state, addresses, layer, queries, size,
        plan.epsilon, HEADS=heads, KV_HEADS=plan.kv_heads, DIM=dim, PAD=triton.next_power_of_2(dim),
        CACHE=TRITON_TYPES[qkv.dtype], HAS_NORMS=of_layer.has_head_norms, TOKENS=_TOKENS,
    )  # fmt: skip
    return queries


def attend_to_cache(
    queries: torch.Tensor, plan, state: torch.Tensor, addresses: torch.Tensor, layer: int
) -> torch.Tensor:
    """queries [n, heads, dim] to [n, heads * dim]: each attends to the cache and to the prompt up to itself."""
    size, heads, dim = queries.shape
    y = torch.empty_like(queries)
    _attend_kernel[(triton.cdiv(size, _QUERIES), heads)](
        queries, state, addresses, layer, y, size, plan.scale, plan.softcap or 0.0, HEADS=heads, KV_HEADS=plan.kv_heads, DIM=dim,
        PAD=triton.next_power_of_2(dim), CACHE=TRITON_TYPES[queries.dtype], WINDOW=plan.layers[layer].window,
        HAS_SOFTCAP=bool(plan.softcap), QUERIES=_QUERIES, KEYS=_KEYS, num_warps=4,
    )  # fmt: skip
    return y.view(size, heads * dim)
