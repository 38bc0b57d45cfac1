"""x @ w for one GPTQ linear, weights as layout.py lays them out: one row at a time, and dequantisation for many rows.

A code of b bits at the top of a float's mantissa makes the number 1 + q / 2**b, one lower 1 + q / 4**b: with the exponent of
1.0 put on, bit operations and no conversion make a code a float. What the ones add is taken off per word of codes. The
exponent comes as an argument, `one`, since an instruction has room for one constant, which is the mask. Sums are fp32, and
the same for a row whatever others come with it.
"""

from __future__ import annotations

import triton
import triton.language as tl

ONE = 0x3F800000  # the bits of 1.0


@triton.jit
def _shifted(word, LEFT: tl.constexpr):
    if LEFT >= 0:
        return word << LEFT
    else:
        return word >> -LEFT


@triton.jit
def tile_sums(
    x,
    order,
    codes,
    scales,
    zeros,
    tile,
    words,
    groups,
    words_per_group,
    one,
    BITS: tl.constexpr,
    HAS_ORDER: tl.constexpr,
    HAS_ZEROS: tl.constexpr,
    EVEN: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    STAGES: tl.constexpr,
):
    """x [K] times one tile of the weight: fp32 [TILE]. `words` is K / P, EVEN says that BLOCK divides it."""
    P: tl.constexpr = 32 // BITS
    MASK: tl.constexpr = (1 << BITS) - 1
    HIGH: tl.constexpr = 23 - BITS
    LOW: tl.constexpr = 23 - 2 * BITS
    columns = tl.arange(0, TILE)
    total = tl.zeros([BLOCK, TILE], tl.float32)
    codes += tile.to(tl.int64) * words * TILE
    first_group = tile * groups
    for start in tl.range(0, words, BLOCK, num_stages=STAGES):
        row = start + tl.arange(0, BLOCK)
        if EVEN:
            word = tl.load(codes + row[:, None] * TILE + columns[None, :])
        else:
            word = tl.load(codes + row[:, None] * TILE + columns[None, :], mask=(row < words)[:, None], other=0)
        group = first_group + row // words_per_group
        at = group[:, None] * TILE + columns[None, :]
        if EVEN:
            scale = tl.load(scales + at).to(tl.float32)
        else:
            scale = tl.load(scales + at, mask=(row < words)[:, None], other=0).to(tl.float32)
        dot = tl.zeros([BLOCK, TILE], tl.float32)
        low_sum = tl.zeros([BLOCK], tl.float32)
        high_sum = tl.zeros([BLOCK], tl.float32)
        for i in tl.static_range(P // 2):
            index = row * P + 2 * i
            if HAS_ORDER:
                low_index = tl.load(order + index, mask=row < words, other=0)
                high_index = tl.load(order + index + 1, mask=row < words, other=0)
            else:
                low_index = index
                high_index = index + 1
            if EVEN:
                low_x = tl.load(x + low_index).to(tl.float32)
                high_x = tl.load(x + high_index).to(tl.float32)
            else:
                low_x = tl.load(x + low_index, mask=row < words, other=0).to(tl.float32)
                high_x = tl.load(x + high_index, mask=row < words, other=0).to(tl.float32)
            low_sum += low_x
            high_sum += high_x
            low_x *= 1 << (2 * BITS)
            high_x *= 1 << BITS
            moved = _shifted(word, LOW - 2 * BITS * i)
            low = ((moved & (MASK << LOW)) | one).to(tl.float32, bitcast=True)
            high = ((moved & (MASK << HIGH)) | one).to(tl.float32, bitcast=True)
            dot += low * low_x[:, None]
            dot += high * high_x[:, None]
        ones = low_sum * (1 << (2 * BITS)) + high_sum * (1 << BITS)
        sum_x = low_sum + high_sum
        if HAS_ZEROS:
            if EVEN:
                zero = tl.load(zeros + at).to(tl.float32)
            else:
                zero = tl.load(zeros + at, mask=(row < words)[:, None], other=0).to(tl.float32)
            dot = (dot - ones[:, None]) - zero * sum_x[:, None]
        else:
            dot -= (ones + (1 << (BITS - 1)) * sum_x)[:, None]
        total += dot * scale
    return tl.sum(total, 0)


@triton.jit
def rows_kernel(
    x,
    y,
    order,
    codes,
    scales,
    zeros,
    inputs,
    outputs,
    words,
    groups,
    words_per_group,
    one,
    BITS: tl.constexpr,
    HAS_ORDER: tl.constexpr,
    HAS_ZEROS: tl.constexpr,
    EVEN: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    STAGES: tl.constexpr,
):
    """x [M, K] to y [M, N]: a program for each row and tile; rows of one tile run side by side and share what they read."""
    row, tile = tl.program_id(0), tl.program_id(1)
    sums = tile_sums(
        x + row * inputs, order, codes, scales, zeros, tile, words, groups, words_per_group, one,
        BITS, HAS_ORDER, HAS_ZEROS, EVEN, BLOCK, TILE, STAGES,
    )  # fmt: skip
    column = tile * TILE + tl.arange(0, TILE)
    tl.store(y + row * outputs + column, sums.to(y.dtype.element_ty), mask=column < outputs)


@triton.jit
def dequantise_kernel(
    weight,
    order,
    codes,
    scales,
    zeros,
    outputs,
    words,
    groups,
    words_per_group,
    BITS: tl.constexpr,
    HAS_ORDER: tl.constexpr,
    HAS_ZEROS: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
):
    """weight [K, N], rows in the input's order: a program for BLOCK words of a tile."""
    P: tl.constexpr = 32 // BITS
    block, tile = tl.program_id(0), tl.program_id(1)
    row = block * BLOCK + tl.arange(0, BLOCK)
    columns = tl.arange(0, TILE)
    column = tile * TILE + columns
    inside = (row < words)[:, None]
    word = tl.load(codes + (tile.to(tl.int64) * words + row)[:, None] * TILE + columns[None, :], mask=inside, other=0)
    at = (tile * groups + row // words_per_group)[:, None] * TILE + columns[None, :]
    scale = tl.load(scales + at, mask=inside, other=0).to(tl.float32)
    if HAS_ZEROS:
        zero = tl.load(zeros + at, mask=inside, other=0).to(tl.float32)
    else:
        zero = tl.full([BLOCK, TILE], 1 << (BITS - 1), tl.float32)
    written = inside & (column < outputs)[None, :]
    for i in tl.static_range(P):
        feature = row * P + i
        if HAS_ORDER:
            feature = tl.load(order + feature, mask=row < words, other=0)
        code = ((word >> (BITS * i)) & ((1 << BITS) - 1)).to(tl.float32)
        value = scale * (code - zero)
        place = feature.to(tl.int64)[:, None] * outputs + column[None, :]
        tl.store(weight + place, value.to(weight.dtype.element_ty), mask=written)
