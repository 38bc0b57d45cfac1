"""x @ w for one row, in either layout of the weight (layout.py), as the kernels of a step need it."""

from __future__ import annotations

import triton
import triton.language as tl

from . import weight_layout as layout
from .gemv_mma import block_sums, write_split
from .gemv_words import TILE, factors, place_of, tile_sums
from .pdl import await_inputs

WORDS, BLOCKS, TENSOR = (tl.constexpr(form) for form in layout.FORMS)


@triton.jit
def linear_sums(
    x, codes, scales, zeros, program, programs, words, groups, words_per_group, one,
    HALVES: tl.constexpr, FORM: tl.constexpr, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr,
    TILES: tl.constexpr, AHEAD: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """x times the columns_of() a program: fp32 [HALVES, C]. Of two halves, the second's columns are as far on as there are
    columns in all programs.
    """
    if FORM == WORDS:
        await_inputs(EARLY)
        both = tl.arange(0, TILES)
        SIDE: tl.constexpr = TILES // HALVES
        tiles = program * SIDE + both % SIDE + both // SIDE * programs * SIDE
        sums = tile_sums(x, codes, scales, zeros, tiles, words, groups, words_per_group, one, BITS, HAS_ZEROS, WARPS * 32, TILES,
                         AHEAD)  # fmt: skip
        return tl.reshape(sums, [HALVES, SIDE * TILE])
    else:
        sums = block_sums(x, codes, scales, zeros, program, programs, words, groups, words_per_group,
                          HAS_ZEROS, WARPS, HALVES, AHEAD, FORM == TENSOR, EARLY)  # fmt: skip
        return tl.reshape(sums, [HALVES, 32])


@triton.jit
def columns_of(program, HALVES: tl.constexpr, FORM: tl.constexpr, TILES: tl.constexpr):
    """The columns [C] of a program's sums, of the first half."""
    if FORM == WORDS:
        return program * (TILES // HALVES * TILE) + tl.arange(0, TILES // HALVES * TILE)
    else:
        n = tl.arange(0, 32)
        return program * 32 + n // 4 + n % 4 * 8


@triton.jit
def write_input(y, at, value, inside, size, READER: tl.constexpr, BITS: tl.constexpr):
    """y: values at these places of the input [K] of a linear in the form READER, as its linear_sums() takes them. BITS 0 is for a
    reader that is no linear of ours. `size` is the reader's input_size().
    """
    if READER == WORDS:
        tl.store(y + place_of(at, size, BITS), value * factors(at, BITS), mask=inside)
    else:
        write_split(y, at, value, inside, size)


@triton.jit
def input_kernel(
    x,
    order,
    y,
    size,
    reader_size,
    HAS_ORDER: tl.constexpr,
    READER: tl.constexpr,
    BITS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """y fp32 [M, K] = x [M, K], each row as linear_sums() takes it, its features in `order`."""
    row = tl.program_id(0) * size
    at = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = at < size
    source = tl.load(order + at, mask=inside, other=0) if HAS_ORDER else at
    write_input(
        y + row, at, tl.load(x + row + source, mask=inside, other=0).to(tl.float32), inside, reader_size, READER, BITS
    )


@triton.jit
def rows_kernel(
    x, y, codes, scales, zeros, inputs, outputs, words, groups, words_per_group, one,
    FORM: tl.constexpr, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr,
    AHEAD: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """x fp32 [M, K], each row as linear_sums() takes it, to y [M, N]: programs for each row side by side, which share what they
    read.
    """
    row, program = tl.program_id(0), tl.program_id(1)
    sums = linear_sums(
        x + row * inputs, codes, scales, zeros, program, 0, words, groups, words_per_group, one,
        1, FORM, BITS, HAS_ZEROS, WARPS, TILES, AHEAD, EARLY,
    )  # fmt: skip
    column = columns_of(program, 1, FORM, TILES)
    tl.store(y + row * outputs + column, tl.sum(sums, 0).to(y.dtype.element_ty), mask=column < outputs)
