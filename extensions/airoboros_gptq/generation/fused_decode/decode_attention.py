"""Attention of one new token over a KV cache, with its rotary embedding and its place in the cache.

The tokens of a long cache are shared out among programs, whose parts the last of them to finish puts together, as in
"Flash-Decoding" (Dao et al., 2023).
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...kernels.triton.gemv import write_input
from ...kernels.triton.pdl import await_inputs, start_next


@triton.jit
def _rotated(x, at, angle_cos, angle_sin, DIM: tl.constexpr):
    d = tl.arange(0, DIM)
    HALF: tl.constexpr = DIM // 2
    other = tl.where(d < HALF, d + HALF, d - HALF)
    sign = tl.where(d < HALF, -1.0, 1.0)
    cosine, sine = tl.load(angle_cos + at * DIM + d), tl.load(angle_sin + at * DIM + d)
    return tl.load(x + d) * cosine + sign * tl.load(x + other) * sine


@triton.jit(do_not_specialize=['layer'])  # or it is compiled for several of them
def attention_kernel(
    qkv, angle_cos, angle_sin, state, addresses, layer, y, place, partial, peaks, counters, scale, reader_size,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, CACHE: tl.constexpr, WINDOW: tl.constexpr,
    HAS_PLACE: tl.constexpr, READER: tl.constexpr, READER_BITS: tl.constexpr, SPLITS: tl.constexpr, BLOCK: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    """qkv fp32 [(HEADS + 2 KV_HEADS) * DIM] to y[place[.]] fp32, place of [HEADS * DIM].

    state int64: tokens in the cache, tokens that it has room for. addresses int64 [2 * layers]: where keys and values
    [KV_HEADS, room, DIM] of each layer lie. angle_cos, angle_sin fp32 [positions, DIM]. partial fp32 [HEADS, SPLITS, DIM],
    peaks fp32 [HEADS, SPLITS, 2] and counters int32 [HEADS], of zeros, are for our own use. WINDOW is 0 for none.
    """
    start_next(EARLY)
    await_inputs(EARLY)
    head, split = tl.program_id(0), tl.program_id(1)
    at, room = tl.load(state), tl.load(state + 1)
    first = at * 0
    if WINDOW > 0:
        first = tl.maximum(at + 1 - WINDOW, 0)
    held = at - first
    share = tl.cdiv(tl.cdiv(held, SPLITS), BLOCK) * BLOCK
    working = tl.maximum(tl.cdiv(held, tl.maximum(share, 1)), 1)
    if split < working:
        kv_head = head // (HEADS // KV_HEADS)
        d = tl.arange(0, DIM)
        keys = tl.load(addresses + 2 * layer).to(tl.pointer_type(CACHE)) + kv_head * room * DIM
        values = tl.load(addresses + 2 * layer + 1).to(tl.pointer_type(CACHE)) + kv_head * room * DIM
        keys, values = tl.multiple_of(keys, 16), tl.multiple_of(values, 16)
        query = _rotated(qkv + head * DIM, at, angle_cos, angle_sin, DIM) * scale
        peak = tl.full([1], float('-inf'), tl.float32)
        weight = tl.zeros([1], tl.float32)
        mixed = tl.zeros([DIM], tl.float32)
        if split == 0:
            new_key = _rotated(qkv + (HEADS + kv_head) * DIM, at, angle_cos, angle_sin, DIM).to(CACHE)
            new_value = tl.load(qkv + (HEADS + KV_HEADS + kv_head) * DIM + d).to(CACHE)
            if head % (HEADS // KV_HEADS) == 0:
                tl.store(keys + at * DIM + d, new_key)
                tl.store(values + at * DIM + d, new_value)
            peak = tl.zeros([1], tl.float32) + tl.sum(query * new_key.to(tl.float32), 0)
            weight += 1
            mixed += new_value.to(tl.float32)
        begin = first + split * share
        end = tl.minimum(begin + share, at)
        for start in range(begin, end, BLOCK):
            t = start + tl.arange(0, BLOCK)
            inside = t < end
            key = tl.load(keys + t[:, None] * DIM + d[None, :], mask=inside[:, None], other=0).to(tl.float32)
            value = tl.load(values + t[:, None] * DIM + d[None, :], mask=inside[:, None], other=0).to(tl.float32)
            score = tl.where(inside, tl.sum(key * query[None, :], 1), float('-inf'))
            higher = tl.maximum(peak, tl.max(score, 0))
            shrink = tl.exp(peak - higher)
            share_of = tl.exp(score - higher)
            weight = weight * shrink + tl.sum(share_of, 0)
            mixed = mixed * shrink + tl.sum(share_of[:, None] * value, 0)
            peak = higher
        done = tl.zeros([1], tl.int32)
        if working > 1:
            one = tl.arange(0, 1)
            tl.store(partial + (head * SPLITS + split) * DIM + d, mixed)
            tl.store(peaks + (head * SPLITS + split) * 2 + one, peak)
            tl.store(peaks + (head * SPLITS + split) * 2 + 1 + one, weight)
            tl.debug_barrier()  # every thread has written before one of them says so
            before = tl.atomic_add(counters + head, 1, sem='acq_rel')
            if before == working - 1:
                n = tl.arange(0, SPLITS)
                # From the second-level cache (.cg): what this processor's own cache holds may be older.
                wrote = n < working
                at_peak = peaks + (head * SPLITS + n) * 2
                part_peak = tl.load(at_peak, mask=wrote, other=float('-inf'), cache_modifier='.cg')
                part_weight = tl.load(at_peak + 1, mask=wrote, other=0, cache_modifier='.cg')
                at_part = partial + (head * SPLITS + n)[:, None] * DIM + d[None, :]
                parts = tl.load(at_part, mask=wrote[:, None], other=0, cache_modifier='.cg')
                factor = tl.exp(part_peak - tl.max(part_peak, 0))
                mixed = tl.sum(parts * factor[:, None], 0)
                weight = tl.zeros([1], tl.float32) + tl.sum(part_weight * factor, 0)
                tl.store(counters + head, 0)
                done += 1
        else:
            done += 1
        if tl.sum(done, 0) > 0:
            target = head * DIM + d
            if HAS_PLACE:
                target = tl.load(place + target)
            write_input(y, target, mixed / weight, d >= 0, reader_size, READER, READER_BITS)
