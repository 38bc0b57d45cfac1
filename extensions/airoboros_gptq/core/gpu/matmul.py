"""x @ w for one GPTQ linear, weights as layout.py lays them out: one row at a time, and dequantisation for many rows.

A code of b bits at the top of a float's mantissa makes the number 1 + q / 2**b, one lower 1 + q / 4**b: with the exponent of
1.0 put on, bit operations and no conversion make a code a float. What the ones add is taken off per word of codes. The
exponent comes as an argument, `one`, since an instruction has room for one constant, which is the mask. Sums are fp32, and
the same for a row whatever others come with it.
"""

from __future__ import annotations

import triton
import triton.language as tl

try:  # Programmatic dependent launch: Triton since 3.4, GPUs since sm90
    from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait
except ImportError:
    gdc_launch_dependents = gdc_wait = None

ONE = 0x3F800000  # the bits of 1.0
COPIES = tl.constexpr(4)  # of each activation


@triton.jit
def _shifted(word, LEFT: tl.constexpr):
    if LEFT >= 0:
        return word << LEFT
    else:
        return word >> -LEFT


@triton.jit
def _plus_word(dot, word, low_x, high_x, one, BITS: tl.constexpr, PAST: tl.constexpr):
    """dot + the two codes of each word that follow its first 2 * PAST, times their activations [BLOCK, TILE]."""
    MASK: tl.constexpr = (1 << BITS) - 1
    LOW: tl.constexpr = 23 - 2 * BITS
    moved = _shifted(word, LOW - 2 * BITS * PAST)
    low = ((moved & (MASK << LOW)) | one).to(tl.float32, bitcast=True)
    high = ((moved & (MASK << (LOW + BITS))) | one).to(tl.float32, bitcast=True)
    return dot + low * low_x + high * high_x


@triton.jit
def _corrections(x, row, words, BITS: tl.constexpr):
    """What the ones of each word add to its dot product, and the sum of its activations, which a zero point multiplies."""
    P: tl.constexpr = 32 // BITS
    code = tl.arange(0, P)
    feature = row[:, None] * P + code[None, :]
    inside = (row < words)[:, None]
    value = tl.load(x + place_of(feature, words, BITS) * COPIES, mask=inside, other=0)
    return tl.sum(value, 1), tl.sum(value / factors(code, BITS)[None, :], 1)


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
def _plus_scaled(total, dot, scale, zeros, at, inside, ones, sum_x, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr):
    """total + (dot without the ones and the zero points) * scale."""
    if HAS_ZEROS:
        zero = tl.load(zeros + at, mask=inside, other=0).to(tl.float32)
        dot = (dot - ones[:, None]) - zero * sum_x[:, None]
    else:
        dot -= (ones + (1 << (BITS - 1)) * sum_x)[:, None]
    return total + dot * scale.to(tl.float32)


@triton.jit
def tile_sums(
    x, codes, scales, zeros, tile, second, words, groups, words_per_group, one,
    PAIR: tl.constexpr, EARLY: tl.constexpr,
    BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, BLOCK: tl.constexpr,
    TILE: tl.constexpr,
):  # fmt: skip
    """x times one tile of the weight, and with PAIR times the tile `second` too: fp32 [TILE] twice.

    x is fp32 [K, COPIES], at place_of(feature), times factors(). Each number stands COPIES times in a row, for the four columns
    that a thread works on: so it is read as the codes are, and no layout has to be converted, which is done through shared
    memory and barriers.
    `words` is K / P, EVEN says that BLOCK divides it. The words of the next block are on their way while one is worked on;
    EARLY lets those of the first start before the kernel that writes x has ended, and the next kernel likewise.
    """
    P: tl.constexpr = 32 // BITS
    columns = tl.arange(0, TILE)
    rows = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK, TILE], tl.float32)
    total_2 = tl.zeros([BLOCK, TILE], tl.float32)
    cell = rows[:, None] * TILE + columns[None, :]
    codes_2 = codes + second.to(tl.int64) * words * TILE
    codes += tile.to(tl.int64) * words * TILE
    inside = (rows < words)[:, None]
    at = (tile * groups + rows // words_per_group)[:, None] * TILE + columns[None, :]
    at_2 = at + (second - tile) * groups * TILE
    word = tl.load(codes + cell, mask=inside, other=0)
    scale = tl.load(scales + at, mask=inside, other=0)
    if PAIR:
        word_2 = tl.load(codes_2 + cell, mask=inside, other=0)
        scale_2 = tl.load(scales + at_2, mask=inside, other=0)
    if EARLY:
        gdc_launch_dependents()
        gdc_wait()
    for start in range(0, words, BLOCK):
        row = start + rows
        following = row + BLOCK
        inside_next = (following < words)[:, None]
        next_cell = cell + (start + BLOCK) * TILE
        next_at = (tile * groups + following // words_per_group)[:, None] * TILE + columns[None, :]
        next_at_2 = next_at + (second - tile) * groups * TILE
        next_word = tl.load(codes + next_cell, mask=inside_next, other=0)
        next_scale = tl.load(scales + next_at, mask=inside_next, other=0)
        if PAIR:
            next_word_2 = tl.load(codes_2 + next_cell, mask=inside_next, other=0)
            next_scale_2 = tl.load(scales + next_at_2, mask=inside_next, other=0)
        dot = tl.zeros([BLOCK, TILE], tl.float32)
        dot_2 = tl.zeros([BLOCK, TILE], tl.float32)
        ones, sum_x = _corrections(x, row, words, BITS)
        for i in tl.static_range(P // 2):
            low_at = x + ((2 * i * words + row)[:, None] * COPIES + columns[None, :] % COPIES)
            high_at = low_at + words * COPIES
            if EVEN:
                low_x = tl.load(low_at)
                high_x = tl.load(high_at)
            else:
                low_x = tl.load(low_at, mask=inside, other=0)
                high_x = tl.load(high_at, mask=inside, other=0)
            dot = _plus_word(dot, word, low_x, high_x, one, BITS, i)
            if PAIR:
                dot_2 = _plus_word(dot_2, word_2, low_x, high_x, one, BITS, i)
        total = _plus_scaled(total, dot, scale, zeros, at, inside, ones, sum_x, BITS, HAS_ZEROS)
        word, scale = next_word, next_scale
        if PAIR:
            total_2 = _plus_scaled(total_2, dot_2, scale_2, zeros, at_2, inside, ones, sum_x, BITS, HAS_ZEROS)
            word_2, scale_2 = next_word_2, next_scale_2
        at, at_2, inside = next_at, next_at_2, inside_next
    return tl.sum(total, 0), tl.sum(total_2, 0)


@triton.jit
def rows_kernel(
    x, y, codes, scales, zeros, inputs, outputs, words, groups, words_per_group, one,
    BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, BLOCK: tl.constexpr,
    TILE: tl.constexpr,
):  # fmt: skip
    """x [M, ...], each row as tile_sums() takes it, to y [M, N]: a program for each row and tile. Rows of one tile run side by
    side and share what they read.
    """
    row, tile = tl.program_id(0), tl.program_id(1)
    sums, _ = tile_sums(
        x + row * inputs * COPIES, codes, scales, zeros, tile, tile, words, groups, words_per_group, one,
        False, False, BITS, HAS_ZEROS, EVEN, BLOCK, TILE,
    )  # fmt: skip
    column = tile * TILE + tl.arange(0, TILE)
    tl.store(y + row * outputs + column, sums.to(y.dtype.element_ty), mask=column < outputs)


@triton.jit
def dequantise_kernel(
    weight, codes, scales, zeros, outputs, words, groups, words_per_group,
    BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, BLOCK: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """weight [N, K], rows of the linear in the order of the codes: a program for BLOCK words of a tile."""
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
    column = (tile * TILE + columns).to(tl.int64)
    place = column[None, :, None] * (words * P) + (row * P)[:, None, None] + code[None, None, :]
    written = (row < words)[:, None, None] & (column < outputs)[None, :, None]
    tl.store(weight + place, value.to(weight.dtype.element_ty), mask=written)
