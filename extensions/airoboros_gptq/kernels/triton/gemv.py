"""x @ w for one row, in each layout of the weight (weight_layout.py), as a kernel and as a part of fused kernels."""

from __future__ import annotations

import triton
import triton.language as tl

from . import weight_layout
from .gemv_mma import gemv_mma, store_split
from .gemv_words import WORD_TILE, gemv_words, input_offset, input_scale
from .pdl import grid_dependency_wait

WORDS, MMA_EMULATED, MMA = (tl.constexpr(layout) for layout in weight_layout.LAYOUTS)


@triton.jit
def gemv(
    x, codes, scales, zeros, program, programs, units, groups, units_per_group, one_bits,
    MATRICES: tl.constexpr, LAYOUT: tl.constexpr, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr,
    TILES: tl.constexpr, PREFETCH: tl.constexpr, USE_PDL: tl.constexpr,
):  # fmt: skip
    """x [K], as store_input() stores it, times the output_columns() of a program: fp32 [MATRICES, C].

    Two matrices, as gate and up, are joined: the second's columns follow those of all `programs` of the first. The arguments from
    `units` to `one_bits` and from LAYOUT to PREFETCH are TritonKernel.weight_args() and launch_settings().
    """
    if LAYOUT == WORDS:
        grid_dependency_wait(USE_PDL)
        tile = tl.arange(0, TILES)
        PER_MATRIX: tl.constexpr = TILES // MATRICES
        tiles = program * PER_MATRIX + tile % PER_MATRIX + tile // PER_MATRIX * programs * PER_MATRIX
        sums = gemv_words(x, codes, scales, zeros, tiles, units, groups, units_per_group, one_bits, BITS, HAS_ZEROS, WARPS * 32,
                          TILES, PREFETCH)  # fmt: skip
        return tl.reshape(sums, [MATRICES, PER_MATRIX * WORD_TILE])
    else:
        sums = gemv_mma(x, codes, scales, zeros, program, programs, units, groups, units_per_group,
                        HAS_ZEROS, WARPS, MATRICES, PREFETCH, LAYOUT == MMA, USE_PDL)  # fmt: skip
        return tl.reshape(sums, [MATRICES, 32])


@triton.jit
def output_columns(program, MATRICES: tl.constexpr, LAYOUT: tl.constexpr, TILES: tl.constexpr):
    """The columns [C] of a program's sums, of the first matrix."""
    if LAYOUT == WORDS:
        return program * (TILES // MATRICES * WORD_TILE) + tl.arange(0, TILES // MATRICES * WORD_TILE)
    else:
        n = tl.arange(0, 32)
        return program * 32 + n // 4 + n % 4 * 8


@triton.jit
def store_input(y, feature, value, mask, size, READER_LAYOUT: tl.constexpr, READER_BITS: tl.constexpr):
    """Values of these features into y, as gemv() of a linear in READER_LAYOUT reads its x [K]. READER_BITS is 0 for a reader that
    is no quantised linear and takes x as it is. `size` is the reader's TritonKernel.input_size.
    """
    if READER_LAYOUT == WORDS:
        tl.store(y + input_offset(feature, size, READER_BITS), value * input_scale(feature, READER_BITS), mask=mask)
    else:
        store_split(y, feature, value, mask, size)


@triton.jit
def arrange_input_kernel(
    x,
    order,
    y,
    size,
    reader_size,
    HAS_ORDER: tl.constexpr,
    READER_LAYOUT: tl.constexpr,
    READER_BITS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """y fp32 [M, K] = x [M, K], each row as gemv() reads it, its features in `order`."""
    row = tl.program_id(0) * size
    feature = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = feature < size
    source = tl.load(order + feature, mask=mask, other=0) if HAS_ORDER else feature
    value = tl.load(x + row + source, mask=mask, other=0).to(tl.float32)
    store_input(y + row, feature, value, mask, reader_size, READER_LAYOUT, READER_BITS)


@triton.jit
def gemv_kernel(
    x, y, inputs, codes, scales, zeros, outputs, units, groups, units_per_group, one_bits,
    LAYOUT: tl.constexpr, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr,
    PREFETCH: tl.constexpr, USE_PDL: tl.constexpr,
):  # fmt: skip
    """x fp32 [M, K], each row as gemv() reads it, to y [M, N]: the programs of all rows side by side share what they read."""
    row, program = tl.program_id(0), tl.program_id(1)
    sums = gemv(
        x + row * inputs, codes, scales, zeros, program, 0, units, groups, units_per_group, one_bits,
        1, LAYOUT, BITS, HAS_ZEROS, WARPS, TILES, PREFETCH, USE_PDL,
    )  # fmt: skip
    column = output_columns(program, 1, LAYOUT, TILES)
    tl.store(y + row * outputs + column, tl.sum(sums, 0).to(y.dtype.element_ty), mask=column < outputs)
