"""What lies between the matmuls of one decoding step, fused with them: a token's activations [K], in fp32.

An RMSNorm is taken apart: whoever writes `hidden` also writes `normed`, hidden times the norm's weight, in the order in which
the next linear wants its input, and sums of squares, a few columns each; the next linear multiplies its sums by one over
the root mean square. Source of the formulas: transformers' `models/llama/modeling_llama.py`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...kernels.triton.gemv import gemv, output_columns, store_input
from ...kernels.triton.pdl import grid_dependency_wait, launch_dependents
from .activation import activate


@triton.jit
def _one_over_rms(squares, count, size, epsilon, SQUARES: tl.constexpr):
    at = tl.arange(0, SQUARES)
    return 1 / tl.sqrt(tl.sum(tl.load(squares + at, mask=at < count, other=0), 0) / size + epsilon)


@triton.jit
def _write_hidden(
    value, at, size, hidden, normed, squares, block, weight, scatter, reader_size,
    HAS_SCATTER: tl.constexpr, READER_LAYOUT: tl.constexpr, READER_BITS: tl.constexpr,
):  # fmt: skip
    """hidden[at] = value, what of it the next norm needs, and its squares' sum."""
    inside = at < size
    tl.store(hidden + at, value, mask=inside)
    tl.store(squares + block, tl.sum(tl.where(inside, value * value, 0)))
    target = at
    if HAS_SCATTER:
        target = tl.load(scatter + at, mask=inside, other=0)
    normal = value * tl.load(weight + at, mask=inside, other=0).to(tl.float32)
    store_input(normed, target, normal, inside, reader_size, READER_LAYOUT, READER_BITS)


@triton.jit
def hidden_kernel(
    x, row, weight, scatter, hidden, normed, squares, size, reader_size, scale, post_weight, post_squares, count, epsilon,
    ADD: tl.constexpr, HAS_POST_NORM: tl.constexpr, SQUARES: tl.constexpr,
    HAS_SCATTER: tl.constexpr, READER_LAYOUT: tl.constexpr, READER_BITS: tl.constexpr, WIDTH: tl.constexpr, USE_PDL: tl.constexpr,
):  # fmt: skip
    """hidden [K] = scale * x[row], or with ADD hidden += scale * x, which is one row then, behind an RMSNorm of its own where
    HAS_POST_NORM, with `count` sums of its squares; normed[scatter[k]] = hidden[k] * weight[k].
    """
    launch_dependents(USE_PDL)
    grid_dependency_wait(USE_PDL)
    block = tl.program_id(0)
    at = block * WIDTH + tl.arange(0, WIDTH)
    if ADD:
        value = tl.load(x + at, mask=at < size, other=0).to(tl.float32) * scale
        if HAS_POST_NORM:
            value *= _one_over_rms(post_squares, count, size, epsilon, SQUARES)
            value *= tl.load(post_weight + at, mask=at < size, other=0).to(tl.float32)
        value += tl.load(hidden + at, mask=at < size, other=0)
    else:
        value = tl.load(x + tl.load(row) * size + at, mask=at < size, other=0).to(tl.float32) * scale
    _write_hidden(
        value, at, size, hidden, normed, squares, block, weight, scatter, reader_size, HAS_SCATTER, READER_LAYOUT, READER_BITS
    )  # fmt: skip


@triton.jit
def last_norm_kernel(
    normed, squares, y, count, size, epsilon, WIDTH: tl.constexpr, SQUARES: tl.constexpr, USE_PDL: tl.constexpr
):
    """y [K] = normed over the root mean square: what the head reads, or a mixture of experts."""
    launch_dependents(USE_PDL)
    grid_dependency_wait(USE_PDL)
    at = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    value = tl.load(normed + at, mask=at < size, other=0) * _one_over_rms(squares, count, size, epsilon, SQUARES)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=at < size)


@triton.jit
def normed_linear_kernel(
    normed, squares, y, bias, codes, scales, zeros, outputs, units, groups, units_per_group, one_bits, count, size, epsilon,
    HAS_BIAS: tl.constexpr, SQUARES: tl.constexpr,
    LAYOUT: tl.constexpr, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr,
    PREFETCH: tl.constexpr, USE_PDL: tl.constexpr,
):  # fmt: skip
    """y [N] = RMSNorm(hidden) @ w + bias: queries, keys and values. `count` is the number of sums of squares."""
    launch_dependents(USE_PDL)
    program = tl.program_id(0)
    halves = gemv(
        normed, codes, scales, zeros, program, 0, units, groups, units_per_group, one_bits,
        1, LAYOUT, BITS, HAS_ZEROS, WARPS, TILES, PREFETCH, USE_PDL,
    )  # fmt: skip
    sums = tl.sum(halves, 0) * _one_over_rms(squares, count, size, epsilon, SQUARES)
    column = output_columns(program, 1, LAYOUT, TILES)
    if HAS_BIAS:
        sums += tl.load(bias + column, mask=column < outputs, other=0)
    tl.store(y + column, sums, mask=column < outputs)


@triton.jit
def gated_linear_kernel(
    normed, squares, y, scatter, codes, scales, zeros, outputs, units, groups, units_per_group, one_bits, count, size, epsilon,
    reader_size,
    HAS_SCATTER: tl.constexpr, READER_LAYOUT: tl.constexpr, READER_BITS: tl.constexpr, SQUARES: tl.constexpr,
    LAYOUT: tl.constexpr, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr,
    PREFETCH: tl.constexpr, USE_PDL: tl.constexpr, ACTIVATION: tl.constexpr,
):  # fmt: skip
    """y[scatter[n]] = activation(gate) * up, both of RMSNorm(hidden); the tiles of up follow those of gate. `outputs`
    is N of one.
    """
    launch_dependents(USE_PDL)
    program = tl.program_id(0)
    sums = gemv(
        normed, codes, scales, zeros, program, tl.num_programs(0), units, groups, units_per_group, one_bits,
        2, LAYOUT, BITS, HAS_ZEROS, WARPS, TILES, PREFETCH, USE_PDL,
    )  # fmt: skip
    gate, up = tl.split(tl.permute(sums, (1, 0)))
    scale = _one_over_rms(squares, count, size, epsilon, SQUARES)
    gate *= scale
    value = activate(gate, ACTIVATION) * (up * scale)
    column = output_columns(program, 2, LAYOUT, TILES)
    inside = column < outputs
    target = column
    if HAS_SCATTER:
        target = tl.load(scatter + column, mask=inside, other=0)
    store_input(y, target, value, inside, reader_size, READER_LAYOUT, READER_BITS)


@triton.jit
def residual_linear_kernel(
    x, hidden, normed, squares, bias, weight, scatter, codes, scales, zeros, outputs, units, groups, units_per_group, one_bits,
    reader_size, scale,
    ADD: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_SCATTER: tl.constexpr, READER_LAYOUT: tl.constexpr, READER_BITS: tl.constexpr,
    LAYOUT: tl.constexpr, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr,
    PREFETCH: tl.constexpr, USE_PDL: tl.constexpr,
):  # fmt: skip
    """hidden [N] += scale * (x @ w + bias), and normed[scatter[n]] = hidden[n] * weight[n] for the norm that follows. Without ADD
    hidden is written to, not added to: a norm stands between.
    """
    launch_dependents(USE_PDL)
    program = tl.program_id(0)
    halves = gemv(
        x, codes, scales, zeros, program, 0, units, groups, units_per_group, one_bits,
        1, LAYOUT, BITS, HAS_ZEROS, WARPS, TILES, PREFETCH, USE_PDL,
    )  # fmt: skip
    sums = tl.sum(halves, 0)
    column = output_columns(program, 1, LAYOUT, TILES)
    if HAS_BIAS:
        sums += tl.load(bias + column, mask=column < outputs, other=0)
    sums *= scale
    if ADD:
        sums += tl.load(hidden + column, mask=column < outputs, other=0)
    _write_hidden(
        sums, column, outputs, hidden, normed, squares, program, weight, scatter, reader_size,
        HAS_SCATTER, READER_LAYOUT, READER_BITS,
    )  # fmt: skip
