"""Attention of one new token over a KV cache, with its rotary embedding and its scatter in the cache.

The tokens of a long cache are shared out among programs, whose parts the last of them to finish puts together, as in
"Flash-Decoding" (Dao et al., 2023).
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...kernels.triton.gemv import store_input
from ...kernels.triton.pdl import grid_dependency_wait, launch_dependents
from .activation import tanh


@triton.jit
def _rotated(x, norm, position, cos, sin, epsilon, DIM: tl.constexpr, PAD: tl.constexpr, HAS_NORM: tl.constexpr):
    """A head's query or key x [DIM], behind its RMSNorm where it has one, with the rotary embedding, padded with zeros to PAD."""
    d = tl.arange(0, PAD)
    inside = d < DIM
    HALF: tl.constexpr = DIM // 2
    other = tl.where(d < HALF, d + HALF, d - HALF)
    sign = tl.where(d < HALF, -1.0, 1.0)
    c = tl.load(cos + position * DIM + d, mask=inside, other=0)
    s = tl.load(sin + position * DIM + d, mask=inside, other=0)
    value, turned = tl.load(x + d, mask=inside, other=0), tl.load(x + other, mask=inside, other=0)
    if HAS_NORM:
        factor = 1 / tl.sqrt(tl.sum(value * value, 0) / DIM + epsilon)
        value *= factor * tl.load(norm + d, mask=inside, other=0).to(tl.float32)
        turned *= factor * tl.load(norm + other, mask=inside, other=0).to(tl.float32)
    return value * c + sign * turned * s


@triton.jit(do_not_specialize=['layer'])  # or it is compiled for several of them
def attention_kernel(
    qkv, q_norm, k_norm, cos, sin, state, addresses, layer, y, scatter, partial, split_max_sum, counters, scale, softcap,
    epsilon, reader_size,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, PAD: tl.constexpr, CACHE: tl.constexpr,
    WINDOW: tl.constexpr, HAS_NORMS: tl.constexpr, HAS_SOFTCAP: tl.constexpr,
    HAS_SCATTER: tl.constexpr, READER_LAYOUT: tl.constexpr, READER_BITS: tl.constexpr, SPLITS: tl.constexpr, BLOCK: tl.constexpr,
    USE_PDL: tl.constexpr,
):  # fmt: skip
    """qkv fp32 [(HEADS + 2 KV_HEADS) * DIM] to y[scatter[.]] fp32, scatter of [HEADS * DIM].

    state int64: tokens in the cache, tokens that it has capacity for. addresses int64 [2 * layers]: where keys and values
    [KV_HEADS, capacity, DIM] of each layer lie. q_norm, k_norm [DIM]: weights of RMSNorms of each head. cos, sin fp32
    [positions, DIM]. partial fp32 [HEADS, SPLITS, PAD], split_max_sum fp32 [HEADS, SPLITS, 2] and counters int32 [HEADS], of
    zeros, are for our own use. PAD is DIM, or the next power of two. WINDOW is 0 for none.
    """
    launch_dependents(USE_PDL)
    grid_dependency_wait(USE_PDL)
    head, split = tl.program_id(0), tl.program_id(1)
    position, capacity = tl.load(state), tl.load(state + 1)
    first = position * 0
    if WINDOW > 0:
        first = tl.maximum(position + 1 - WINDOW, 0)
    held = position - first
    share = tl.cdiv(tl.cdiv(held, SPLITS), BLOCK) * BLOCK
    working = tl.maximum(tl.cdiv(held, tl.maximum(share, 1)), 1)
    if split < working:
        kv_head = head // (HEADS // KV_HEADS)
        d = tl.arange(0, PAD)
        in_head = d < DIM
        keys = tl.load(addresses + 2 * layer).to(tl.pointer_type(CACHE)) + kv_head * capacity * DIM
        values = tl.load(addresses + 2 * layer + 1).to(tl.pointer_type(CACHE)) + kv_head * capacity * DIM
        keys, values = tl.multiple_of(keys, 16), tl.multiple_of(values, 16)
        query = _rotated(qkv + head * DIM, q_norm, position, cos, sin, epsilon, DIM, PAD, HAS_NORMS) * scale
        m_i = tl.full([1], float('-inf'), tl.float32)
        l_i = tl.zeros([1], tl.float32)
        acc = tl.zeros([PAD], tl.float32)
        if split == 0:
            own_key = qkv + (HEADS + kv_head) * DIM
            new_key = _rotated(own_key, k_norm, position, cos, sin, epsilon, DIM, PAD, HAS_NORMS).to(CACHE)
            new_value = tl.load(qkv + (HEADS + KV_HEADS + kv_head) * DIM + d, mask=in_head, other=0).to(CACHE)
            if head % (HEADS // KV_HEADS) == 0:
                tl.store(keys + position * DIM + d, new_key, mask=in_head)
                tl.store(values + position * DIM + d, new_value, mask=in_head)
            m_i = tl.zeros([1], tl.float32) + tl.sum(query * new_key.to(tl.float32), 0)
            if HAS_SOFTCAP:
                m_i = softcap * tanh(m_i / softcap)
            l_i += 1
            acc += new_value.to(tl.float32)
        begin = first + split * share
        end = tl.minimum(begin + share, position)
        for start in range(begin, end, BLOCK):
            t = start + tl.arange(0, BLOCK)
            inside = t < end
            held_here = inside[:, None] & in_head[None, :]
            key = tl.load(keys + t[:, None] * DIM + d[None, :], mask=held_here, other=0).to(tl.float32)
            value = tl.load(values + t[:, None] * DIM + d[None, :], mask=held_here, other=0).to(tl.float32)
            score = tl.sum(key * query[None, :], 1)
            if HAS_SOFTCAP:
                score = softcap * tanh(score / softcap)
            score = tl.where(inside, score, float('-inf'))
            m_new = tl.maximum(m_i, tl.max(score, 0))
            alpha = tl.exp(m_i - m_new)
            p = tl.exp(score - m_new)
            l_i = l_i * alpha + tl.sum(p, 0)
            acc = acc * alpha + tl.sum(p[:, None] * value, 0)
            m_i = m_new
        done = tl.zeros([1], tl.int32)
        if working > 1:
            one = tl.arange(0, 1)
            tl.store(partial + (head * SPLITS + split) * PAD + d, acc)
            tl.store(split_max_sum + (head * SPLITS + split) * 2 + one, m_i)
            tl.store(split_max_sum + (head * SPLITS + split) * 2 + 1 + one, l_i)
            tl.debug_barrier()  # every thread has written before one of them says so
            before = tl.atomic_add(counters + head, 1, sem='acq_rel')
            if before == working - 1:
                n = tl.arange(0, SPLITS)
                # From the second-level cache (.cg): what this processor's own cache holds may be older.
                wrote = n < working
                at_max = split_max_sum + (head * SPLITS + n) * 2
                part_max = tl.load(at_max, mask=wrote, other=float('-inf'), cache_modifier='.cg')
                part_sum = tl.load(at_max + 1, mask=wrote, other=0, cache_modifier='.cg')
                at_part = partial + (head * SPLITS + n)[:, None] * PAD + d[None, :]
                parts = tl.load(at_part, mask=wrote[:, None], other=0, cache_modifier='.cg')
                factor = tl.exp(part_max - tl.max(part_max, 0))
                acc = tl.sum(parts * factor[:, None], 0)
                l_i = tl.zeros([1], tl.float32) + tl.sum(part_sum * factor, 0)
                tl.store(counters + head, 0)
                done += 1
        else:
            done += 1
        if tl.sum(done, 0) > 0:
            target = head * DIM + d
            if HAS_SCATTER:
                target = tl.load(scatter + target, mask=in_head, other=0)
            store_input(y, target, acc / l_i, in_head, reader_size, READER_LAYOUT, READER_BITS)
