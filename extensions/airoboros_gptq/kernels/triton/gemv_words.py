"""x @ w for one row, and dequantisation, of weights in words (weight_layout.py).

A code of b bits at the top of a float's mantissa makes the number 1 + q / 2**b, one place lower 1 + q / 4**b: with the exponent
of 1.0 or-ed in, bit operations make a code a float, and no conversion is needed. The ones are subtracted again, once per word of
codes. The exponent comes as an argument, `one_bits`, since an instruction has room for one constant, which is the mask. Sums
are fp32, and the same for a row whatever others come with it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from . import weight_layout

ONE_BITS = 0x3F800000  # 1.0 in fp32
WORD_TILE = tl.constexpr(weight_layout.WORD_TILE)


@triton.jit
def _shift_left(word, PLACES: tl.constexpr):
    if PLACES >= 0:
        return word << PLACES
    else:
        return word >> -PLACES


@triton.jit
def _add_code_pair(dot, word, x_lo, x_hi, one_bits, BITS: tl.constexpr, PAIR: tl.constexpr):
    """dot + the codes 2 * PAIR and 2 * PAIR + 1 of each word, times their activations [BLOCK]."""
    MASK: tl.constexpr = (1 << BITS) - 1
    LOW: tl.constexpr = 23 - 2 * BITS
    shifted = _shift_left(word, LOW - 2 * BITS * PAIR)
    lo = ((shifted & (MASK << LOW)) | one_bits).to(tl.float32, bitcast=True)
    hi = ((shifted & (MASK << (LOW + BITS))) | one_bits).to(tl.float32, bitcast=True)
    return dot + lo * x_lo[:, None, None] + hi * x_hi[:, None, None]


@triton.jit
def input_offset(feature, words, BITS: tl.constexpr):
    """Where gemv_words() reads the activation of a feature: the first ones of all words, then the second ones, ..., so that
    threads with neighbouring words read neighbours. `feature` itself where BITS is 0.
    """
    if BITS == 0:
        return feature
    else:
        return feature % (32 // BITS) * words + feature // (32 // BITS)


@triton.jit
def input_scale(feature, BITS: tl.constexpr):
    """The power of two by which the activation of a feature is multiplied beforehand, since its codes are read as that much
    smaller; it rounds nothing. 1 where BITS is 0.
    """
    return tl.where(feature % 2 == 0, 1 << (2 * BITS), 1 << BITS).to(tl.float32)


@triton.jit
def gemv_words(
    x, codes, scales, zeros, tiles, words, groups, words_per_group, one_bits,
    BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr, PREFETCH: tl.constexpr,
):  # fmt: skip
    """x times the tiles [TILES] of the weight: fp32 [TILES, WORD_TILE].

    x is fp32 [K], at input_offset() and times input_scale(). `words` is K / P. BLOCK is the number of threads: each has one
    word of each column and that word's activations, so no layout has to be converted, which goes through shared memory and
    barriers. PREFETCH reads the words of the next block while one is worked on.
    """
    P: tl.constexpr = 32 // BITS
    columns = tl.arange(0, WORD_TILE)[None, None, :]
    rows = tl.arange(0, BLOCK)
    acc = tl.zeros([BLOCK, TILES, WORD_TILE], tl.float32)
    codes += tiles.to(tl.int64)[None, :, None] * words * WORD_TILE + columns
    scales += tiles[None, :, None] * groups * WORD_TILE + columns
    zeros += tiles[None, :, None] * groups * WORD_TILE + columns
    if PREFETCH:
        mask = (rows < words)[:, None, None]
        word = tl.load(codes + rows[:, None, None] * WORD_TILE, mask=mask, other=0)
        scale = tl.load(scales + (rows // words_per_group)[:, None, None] * WORD_TILE, mask=mask, other=0)
    for start in range(0, words, BLOCK):
        row = start + rows
        mask = (row < words)[:, None, None]
        group = (row // words_per_group)[:, None, None] * WORD_TILE
        if PREFETCH:
            next_row = row + BLOCK
            next_mask = (next_row < words)[:, None, None]
            next_word = tl.load(codes + next_row[:, None, None] * WORD_TILE, mask=next_mask, other=0)
            next_group = (next_row // words_per_group)[:, None, None] * WORD_TILE
            next_scale = tl.load(scales + next_group, mask=next_mask, other=0)
        else:
            word = tl.load(codes + row[:, None, None] * WORD_TILE, mask=mask, other=0)
            scale = tl.load(scales + group, mask=mask, other=0)
        dot = tl.zeros([BLOCK, TILES, WORD_TILE], tl.float32)
        sum_lo = tl.zeros([BLOCK], tl.float32)
        sum_hi = tl.zeros([BLOCK], tl.float32)
        for i in tl.static_range(P // 2):
            x_at = x + 2 * i * words + row
            x_lo = tl.load(x_at, mask=row < words, other=0)
            x_hi = tl.load(x_at + words, mask=row < words, other=0)
            sum_lo += x_lo
            sum_hi += x_hi
            dot = _add_code_pair(dot, word, x_lo, x_hi, one_bits, BITS, i)
        ones = (sum_lo + sum_hi)[:, None, None]
        sum_x = (sum_lo * (1 / (1 << (2 * BITS))) + sum_hi * (1 / (1 << BITS)))[:, None, None]
        if HAS_ZEROS:
            zero = tl.load(zeros + group, mask=mask, other=0).to(tl.float32)
            dot = (dot - ones) - zero * sum_x
        else:
            dot -= ones + (1 << (BITS - 1)) * sum_x
        acc += dot * scale.to(tl.float32)
        if PREFETCH:
            word, scale = next_word, next_scale
    return tl.sum(acc, 0)


@triton.jit
def dequantize_words_kernel(
    weight, codes, scales, zeros, output_scatter, outputs, words, groups, words_per_group,
    BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, HAS_SCATTER: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """weight [N, K], input features in the order of the codes: a program for BLOCK words of a tile. Column n of the linear
    becomes row output_scatter[n].
    """
    P: tl.constexpr = 32 // BITS
    block, tile = tl.program_id(0), tl.program_id(1)
    row = block * BLOCK + tl.arange(0, BLOCK)
    columns = tl.arange(0, WORD_TILE)
    mask = (row < words)[:, None]
    word = tl.load(
        codes + (tile.to(tl.int64) * words + row)[:, None] * WORD_TILE + columns[None, :], mask=mask, other=0
    )
    group = (tile * groups + row // words_per_group)[:, None] * WORD_TILE + columns[None, :]
    scale = tl.load(scales + group, mask=mask, other=0).to(tl.float32)
    if HAS_ZEROS:
        zero = tl.load(zeros + group, mask=mask, other=0).to(tl.float32)
    else:
        zero = tl.full([BLOCK, WORD_TILE], 1 << (BITS - 1), tl.float32)
    i = tl.arange(0, P)
    code = (word[:, :, None] >> (BITS * i)[None, None, :]) & ((1 << BITS) - 1)
    value = scale[:, :, None] * (code.to(tl.float32) - zero[:, :, None])
    column = tile * WORD_TILE + columns
    target = tl.load(output_scatter + column, mask=column < outputs, other=0) if HAS_SCATTER else column
    at = target.to(tl.int64)[None, :, None] * (words * P) + (row * P)[:, None, None] + i[None, None, :]
    mask = (row < words)[:, None, None] & (column < outputs)[None, :, None]
    tl.store(weight + at, value.to(weight.dtype.element_ty), mask=mask)
