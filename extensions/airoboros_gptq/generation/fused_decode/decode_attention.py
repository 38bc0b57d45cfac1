"""Attention of one new token over a KV cache, with its rotary embedding and its scatter in the cache.

Heads that share keys and values are computed together, on tensor cores. The tokens of a long cache are shared out among programs,
whose parts the last of them to finish puts together, as in "Flash-Decoding" (Dao et al., 2023).
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...kernels.triton.gemv import store_input
from ...kernels.triton.pdl import grid_dependency_wait, launch_dependents
from .activation import tanh


@triton.jit
def _rotated(
    x, row_mask, norm, position, cos, sin, epsilon, DIM: tl.constexpr, PAD: tl.constexpr, HAS_NORM: tl.constexpr
):
    """Queries or keys of heads, which lie at x [rows, 1], behind their RMSNorm where they have one, with the rotary embedding:
    fp32 [rows, PAD], of which DIM columns are no zeros.
    """
    d = tl.arange(0, PAD)
    inside = d < DIM
    HALF: tl.constexpr = DIM // 2
    other = tl.where(d < HALF, d + HALF, d - HALF)
    sign = tl.where(d < HALF, -1.0, 1.0)
    c = tl.load(cos + position * DIM + d, mask=inside, other=0)
    s = tl.load(sin + position * DIM + d, mask=inside, other=0) * sign
    mask = row_mask & inside[None, :]
    value, turned = tl.load(x + d[None, :], mask=mask, other=0), tl.load(x + other[None, :], mask=mask, other=0)
    if HAS_NORM:
        factor = (1 / tl.sqrt(tl.sum(value * value, 1) / DIM + epsilon))[:, None]
        value *= factor * tl.load(norm + d, mask=inside, other=0).to(tl.float32)[None, :]
        turned *= factor * tl.load(norm + other, mask=inside, other=0).to(tl.float32)[None, :]
    return value * c[None, :] + turned * s[None, :]


@triton.jit(do_not_specialize=['layer'])  # or it is compiled for several of them
def attention_kernel(
    qkv, q_norm, k_norm, cos, sin, state, addresses, layer, y, scatter, partial, split_max_sum, counters, scale, softcap,
    epsilon, reader_size,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, PAD: tl.constexpr, ROWS: tl.constexpr, CACHE: tl.constexpr,
    WINDOW: tl.constexpr, HAS_NORMS: tl.constexpr, HAS_SOFTCAP: tl.constexpr,
    HAS_SCATTER: tl.constexpr, READER_LAYOUT: tl.constexpr, READER_BITS: tl.constexpr, SPLITS: tl.constexpr, BLOCK: tl.constexpr,
    USE_PDL: tl.constexpr,
):  # fmt: skip
    """qkv fp32 [(HEADS + 2 KV_HEADS) * DIM] to y[scatter[.]] fp32, scatter of [HEADS * DIM].

    state int64: tokens in the cache, tokens that it has capacity for. addresses int64 [2 * layers]: where keys and values
    [KV_HEADS, capacity, DIM] of each layer lie. q_norm, k_norm [DIM]: weights of RMSNorms of each head. cos, sin fp32
    [positions, DIM]. partial fp32 [HEADS, SPLITS, PAD], split_max_sum fp32 [HEADS, SPLITS, 2] and counters int32 [KV_HEADS], of
    zeros, are for our own use. PAD is DIM, or the next power of two; ROWS the heads of a group, padded to what tensor cores take.
    WINDOW is 0 for none.
    """
    launch_dependents(USE_PDL)
    grid_dependency_wait(USE_PDL)
    GROUP: tl.constexpr = HEADS // KV_HEADS
    kv_head, split = tl.program_id(0), tl.program_id(1)
    position, capacity = tl.load(state), tl.load(state + 1)
    first = position * 0
    if WINDOW > 0:
        first = tl.maximum(position + 1 - WINDOW, 0)
    held = position - first
    share = tl.cdiv(tl.cdiv(held, SPLITS), BLOCK) * BLOCK
    working = tl.maximum(tl.cdiv(held, tl.maximum(share, 1)), 1)
    if split < working:
        g = tl.arange(0, ROWS)
        d = tl.arange(0, PAD)
        in_head = d < DIM
        in_group = g < GROUP
        head = kv_head * GROUP + g
        keys = tl.load(addresses + 2 * layer).to(tl.pointer_type(CACHE)) + kv_head * capacity * DIM
        values = tl.load(addresses + 2 * layer + 1).to(tl.pointer_type(CACHE)) + kv_head * capacity * DIM
        keys, values = tl.multiple_of(keys, 16), tl.multiple_of(values, 16)
        q = _rotated(
            qkv + head[:, None] * DIM, in_group[:, None], q_norm, position, cos, sin, epsilon, DIM, PAD, HAS_NORMS
        ).to(CACHE)  # fmt: skip
        m_i = tl.full([ROWS], float('-inf'), tl.float32)
        l_i = tl.zeros([ROWS], tl.float32)
        acc = tl.zeros([ROWS, PAD], tl.float32)
        if split == 0:
            one = tl.arange(0, 1)[:, None]
            own_key = qkv + (HEADS + kv_head) * DIM + one
            k_new = _rotated(own_key, one == 0, k_norm, position, cos, sin, epsilon, DIM, PAD, HAS_NORMS).to(CACHE)
            v_new = tl.load(qkv + (HEADS + KV_HEADS + kv_head) * DIM + d, mask=in_head, other=0).to(CACHE)
            tl.store(keys + position * DIM + one + d[None, :], k_new, mask=in_head[None, :])
            tl.store(values + position * DIM + d, v_new, mask=in_head)
            m_i = tl.sum(q.to(tl.float32) * k_new.to(tl.float32), 1) * scale
            if HAS_SOFTCAP:
                m_i = softcap * tanh(m_i / softcap)
            l_i += 1
            acc += v_new.to(tl.float32)[None, :]
        begin = first + split * share
        end = tl.minimum(begin + share, position)
        for start in range(begin, end, BLOCK):
            t = start + tl.arange(0, BLOCK)
            inside = t < end
            k = tl.load(keys + t[None, :] * DIM + d[:, None], mask=inside[None, :] & in_head[:, None], other=0)
            v = tl.load(values + t[:, None] * DIM + d[None, :], mask=inside[:, None] & in_head[None, :], other=0)
            score = tl.dot(q, k, input_precision='ieee') * scale
            if HAS_SOFTCAP:
                score = softcap * tanh(score / softcap)
            score = tl.where(inside[None, :], score, float('-inf'))
            m_new = tl.maximum(m_i, tl.max(score, 1))
            alpha = tl.exp(m_i - m_new)
            p = tl.exp(score - m_new[:, None])
            l_i = l_i * alpha + tl.sum(p, 1)
            acc = acc * alpha[:, None] + tl.dot(p.to(CACHE), v, input_precision='ieee')
            m_i = m_new
        if working == 1:
            _store_heads(y, acc / l_i[:, None], head[:, None], in_group[:, None], scatter, reader_size, DIM, PAD, HAS_SCATTER,
                         READER_LAYOUT, READER_BITS)  # fmt: skip
        else:
            at = head * SPLITS + split
            tl.store(partial + at[:, None] * PAD + d[None, :], acc, mask=in_group[:, None])
            tl.store(split_max_sum + 2 * at, m_i, mask=in_group)
            tl.store(split_max_sum + 2 * at + 1, l_i, mask=in_group)
            tl.debug_barrier()  # every thread has written before one of them says so
            before = tl.atomic_add(counters + kv_head, 1, sem='acq_rel')
            if before == working - 1:
                n = tl.arange(0, SPLITS)
                wrote = n < working
                for i in tl.static_range(GROUP):
                    # From the second-level cache (.cg): what this processor's own cache holds may be older.
                    part = (kv_head * GROUP + i) * SPLITS + n
                    part_max = tl.load(split_max_sum + 2 * part, mask=wrote, other=float('-inf'), cache_modifier='.cg')
                    part_sum = tl.load(split_max_sum + 2 * part + 1, mask=wrote, other=0, cache_modifier='.cg')
                    parts = tl.load(
                        partial + part[:, None] * PAD + d[None, :], mask=wrote[:, None], other=0, cache_modifier='.cg'
                    )
                    factor = tl.exp(part_max - tl.max(part_max, 0))
                    combined = tl.sum(parts * factor[:, None], 0) / tl.sum(part_sum * factor, 0)
                    one = tl.arange(0, 1)[:, None]
                    _store_heads(y, combined[None, :], kv_head * GROUP + i + one, one == 0, scatter, reader_size, DIM, PAD,
                                 HAS_SCATTER, READER_LAYOUT, READER_BITS)  # fmt: skip
                tl.store(counters + kv_head, 0)


@triton.jit
def _store_heads(
    y, value, head, row_mask, scatter, reader_size, DIM: tl.constexpr, PAD: tl.constexpr, HAS_SCATTER: tl.constexpr,
    READER_LAYOUT: tl.constexpr, READER_BITS: tl.constexpr,
):  # fmt: skip
    """value [rows, PAD] of `head` [rows, 1] where the next linear reads it."""
    d = tl.arange(0, PAD)
    mask = row_mask & (d < DIM)[None, :]
    target = head * DIM + d[None, :]
    if HAS_SCATTER:
        target = tl.load(scatter + target, mask=mask, other=0)
    store_input(y, target, value, mask, reader_size, READER_LAYOUT, READER_BITS)
