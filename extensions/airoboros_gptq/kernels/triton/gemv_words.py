"""x @ w for one GPTQ linear, weights as layout.py lays them out: one row at a time, and dequantisation for many rows.

A code of b bits at the top of a float's mantissa makes the number 1 + q / 2**b, one lower 1 + q / 4**b: with the exponent of
1.0 put on, bit operations and no conversion make a code a float. What the ones add is taken off per word of codes. The
exponent comes as an argument, `one`, since an instruction has room for one constant, which is the mask. Sums are fp32, and
the same for a row whatever others come with it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from . import weight_layout as layout

ONE = 0x3F800000  # the bits of 1.0
TILE = tl.constexpr(layout.TILE)


@triton.jit
def _shifted(word, LEFT: tl.constexpr):
    if LEFT >= 0:
        return word << LEFT
    else:
        return word >> -LEFT


@triton.jit
def _plus_word(dot, word, low_x, high_x, one, BITS: tl.constexpr, PAST: tl.constexpr):
    """dot + the two codes of each word that follow its first 2 * PAST, times their activations [BLOCK]."""
    MASK: tl.constexpr = (1 << BITS) - 1
    LOW: tl.constexpr = 23 - 2 * BITS
    moved = _shifted(word, LOW - 2 * BITS * PAST)
    low = ((moved & (MASK << LOW)) | one).to(tl.float32, bitcast=True)
    high = ((moved & (MASK << (LOW + BITS))) | one).to(tl.float32, bitcast=True)
    return dot + low * low_x[:, None, None] + high * high_x[:, None, None]


@triton.jit
def place_of(position, words, BITS: tl.constexpr):
    """Where the activation at a position of the input stands: all first ones of a word, all second ones, ..., so that threads
    that work on neighbouring words read neighbours. Where it was, if BITS is 0.
    """
    if BITS == 0:
        return position
    else:
        return position % (32 // BITS) * words + position // (32 // BITS)


@triton.jit
def factors(position, BITS: tl.constexpr):
    """What the activation at a position is multiplied by beforehand, since its codes are smaller by that: no rounding. 1 where
    BITS is 0.
    """
    return tl.where(position % 2 == 0, 1 << (2 * BITS), 1 << BITS).to(tl.float32)


@triton.jit
def tile_sums(
    x, codes, scales, zeros, tiles, words, groups, words_per_group, one,
    BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """x times the tiles [TILES] of the weight: fp32 [TILES, TILE].

    x is fp32 [K], at place_of(feature), times factors(). `words` is K / P. BLOCK is the number
    of threads: then a thread has one word of each column, the activations of that word, and no layout has to be converted,
    which goes through shared memory and barriers. AHEAD reads the words of the next block while one is worked on.
    """
    P: tl.constexpr = 32 // BITS
    columns = tl.arange(0, TILE)[None, None, :]
    rows = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK, TILES, TILE], tl.float32)
    codes += tiles.to(tl.int64)[None, :, None] * words * TILE + columns
    scales += tiles[None, :, None] * groups * TILE + columns
    zeros += tiles[None, :, None] * groups * TILE + columns
    if AHEAD:
        inside = (rows < words)[:, None, None]
        word = tl.load(codes + rows[:, None, None] * TILE, mask=inside, other=0)
        scale = tl.load(scales + (rows // words_per_group)[:, None, None] * TILE, mask=inside, other=0)
    for start in range(0, words, BLOCK):
        row = start + rows
        inside = (row < words)[:, None, None]
        group = (row // words_per_group)[:, None, None] * TILE
        if AHEAD:
            following = row + BLOCK
            inside_next = (following < words)[:, None, None]
            next_word = tl.load(codes + following[:, None, None] * TILE, mask=inside_next, other=0)
            next_group = (following // words_per_group)[:, None, None] * TILE
            next_scale = tl.load(scales + next_group, mask=inside_next, other=0)
        else:
            word = tl.load(codes + row[:, None, None] * TILE, mask=inside, other=0)
            scale = tl.load(scales + group, mask=inside, other=0)
        dot = tl.zeros([BLOCK, TILES, TILE], tl.float32)
        low_sum = tl.zeros([BLOCK], tl.float32)
        high_sum = tl.zeros([BLOCK], tl.float32)
        for i in tl.static_range(P // 2):
            low_at = x + 2 * i * words + row
            low_x = tl.load(low_at, mask=row < words, other=0)
            high_x = tl.load(low_at + words, mask=row < words, other=0)
            low_sum += low_x
            high_sum += high_x
            dot = _plus_word(dot, word, low_x, high_x, one, BITS, i)
        ones = (low_sum + high_sum)[:, None, None]
        sum_x = (low_sum * (1 / (1 << (2 * BITS))) + high_sum * (1 / (1 << BITS)))[:, None, None]
        if HAS_ZEROS:
            zero = tl.load(zeros + group, mask=inside, other=0).to(tl.float32)
            dot = (dot - ones) - zero * sum_x
        else:
            dot -= ones + (1 << (BITS - 1)) * sum_x
        total += dot * scale.to(tl.float32)
        if AHEAD:
            word, scale = next_word, next_scale
    return tl.sum(total, 0)


@triton.jit
def dequantise_kernel(
    weight, codes, scales, zeros, rows, outputs, words, groups, words_per_group,
    BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, HAS_ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """weight [N, K], input features in the order of the codes: a program for BLOCK words of a tile. Column n of the linear is row
    rows[n] of it.
    """
    P: tl.constexpr = 32 // BITS
    block, tile = tl.program_id(0), tl.program_id(1)
    row = block * BLOCK + tl.arange(0, BLOCK)
    columns = tl.arange(0, TILE)
    inside = (row < words)[:, None]
    word = tl.load(codes + (tile.to(tl.int64) * words + row)[:, None] * TILE + columns[None, :], mask=inside, other=0)
    at = (tile * groups + row // words_per_group)[:, None] * TILE + columns[None, :]
    scale = tl.load(scales + at, mask=inside, other=0).to(tl.float32)
    if HAS_ZEROS:
        zero = tl.load(zeros + at, mask=inside, other=0).to(tl.float32)
    else:
        zero = tl.full([BLOCK, TILE], 1 << (BITS - 1), tl.float32)
    code = tl.arange(0, P)
    whole = (word[:, :, None] >> (BITS * code)[None, None, :]) & ((1 << BITS) - 1)
    value = scale[:, :, None] * (whole.to(tl.float32) - zero[:, :, None])
    column = tile * TILE + columns
    target = tl.load(rows + column, mask=column < outputs, other=0) if HAS_ROWS else column
    place = target.to(tl.int64)[None, :, None] * (words * P) + (row * P)[:, None, None] + code[None, None, :]
    written = (row < words)[:, None, None] & (column < outputs)[None, :, None]
    tl.store(weight + place, value.to(weight.dtype.element_ty), mask=written)
