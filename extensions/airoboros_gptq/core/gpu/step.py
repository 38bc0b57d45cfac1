"""What lies between the matmuls of one decoding step of a LLaMA, fused with them: a token's activations [K], in fp32.

An RMSNorm is taken apart: whoever writes `hidden` also writes `normed`, hidden times the norm's weight, in the order in which
the next linear wants its input; the next linear multiplies its sums by the one over root mean square. Source of the
formulas: transformers' `models/llama/modeling_llama.py`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .matmul import tile_sums


@triton.jit
def _one_over_rms(hidden, size, epsilon, WIDTH: tl.constexpr):
    total = tl.zeros([WIDTH], tl.float32)
    for start in range(0, size, WIDTH):
        at = start + tl.arange(0, WIDTH)
        value = tl.load(hidden + at, mask=at < size, other=0)
        total += value * value
    return 1 / tl.sqrt(tl.sum(total, 0) / size + epsilon)


@triton.jit
def embed_kernel(token, table, weight, place, hidden, normed, size, HAS_PLACE: tl.constexpr, WIDTH: tl.constexpr):
    """hidden [K] = table[token]; normed[place[k]] = hidden[k] * weight[k]."""
    at = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    inside = at < size
    value = tl.load(table + tl.load(token) * size + at, mask=inside, other=0).to(tl.float32)
    tl.store(hidden + at, value, mask=inside)
    value *= tl.load(weight + at, mask=inside, other=0).to(tl.float32)
    target = at
    if HAS_PLACE:
        target = tl.load(place + at, mask=inside, other=0)
    tl.store(normed + target, value, mask=inside)


@triton.jit
def last_norm_kernel(hidden, normed, y, size, epsilon, WIDTH: tl.constexpr, NORM: tl.constexpr):
    """y [K] = normed over hidden's root mean square: what the head reads."""
    scale = _one_over_rms(hidden, size, epsilon, NORM)
    at = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    value = tl.load(normed + at, mask=at < size, other=0) * scale
    tl.store(y + at, value.to(y.dtype.element_ty), mask=at < size)


@triton.jit
def normed_linear_kernel(
    normed, hidden, y, bias, codes, scales, zeros, outputs, words, groups, words_per_group, one, size, epsilon,
    HAS_BIAS: tl.constexpr, NORM: tl.constexpr,
    BITS: tl.constexpr, HAS_ORDER: tl.constexpr, HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, BLOCK: tl.constexpr,
    TILE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """y [N] = RMSNorm(hidden) @ w + bias: queries, keys and values."""
    tile = tl.program_id(0)
    sums = tile_sums(
        normed, codes, codes, scales, zeros, tile, words, groups, words_per_group, one,
        BITS, HAS_ORDER, HAS_ZEROS, EVEN, BLOCK, TILE, STAGES,
    )  # fmt: skip
    sums *= _one_over_rms(hidden, size, epsilon, NORM)
    column = tile * TILE + tl.arange(0, TILE)
    if HAS_BIAS:
        sums += tl.load(bias + column, mask=column < outputs, other=0)
    tl.store(y + column, sums, mask=column < outputs)


@triton.jit
def gated_linear_kernel(
    normed, hidden, y, place, codes, scales, zeros, outputs, words, groups, words_per_group, one, size, epsilon,
    HAS_PLACE: tl.constexpr, NORM: tl.constexpr,
    BITS: tl.constexpr, HAS_ORDER: tl.constexpr, HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, BLOCK: tl.constexpr,
    TILE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """y[place[n]] = silu(gate) * up, both of RMSNorm(hidden); the tiles of up follow those of gate. outputs is N of one."""
    tile = tl.program_id(0)
    gate = tile_sums(
        normed, codes, codes, scales, zeros, tile, words, groups, words_per_group, one,
        BITS, HAS_ORDER, HAS_ZEROS, EVEN, BLOCK, TILE, STAGES,
    )  # fmt: skip
    up = tile_sums(
        normed, codes, codes, scales, zeros, tile + tl.num_programs(0), words, groups, words_per_group, one,
        BITS, HAS_ORDER, HAS_ZEROS, EVEN, BLOCK, TILE, STAGES,
    )  # fmt: skip
    scale = _one_over_rms(hidden, size, epsilon, NORM)
    gate *= scale
    value = gate / (1 + tl.exp(-gate)) * (up * scale)
    column = tile * TILE + tl.arange(0, TILE)
    inside = column < outputs
    target = column
    if HAS_PLACE:
        target = tl.load(place + column, mask=inside, other=0)
    tl.store(y + target, value, mask=inside)


@triton.jit
def residual_linear_kernel(
    x, hidden, normed, bias, weight, place, codes, scales, zeros, outputs, words, groups, words_per_group, one,
    HAS_BIAS: tl.constexpr, HAS_PLACE: tl.constexpr,
    BITS: tl.constexpr, HAS_ORDER: tl.constexpr, HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, BLOCK: tl.constexpr,
    TILE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """hidden [N] += x @ w + bias, and normed[place[n]] = hidden[n] * weight[n] for the norm that follows."""
    tile = tl.program_id(0)
    sums = tile_sums(
        x, codes, codes, scales, zeros, tile, words, groups, words_per_group, one,
        BITS, HAS_ORDER, HAS_ZEROS, EVEN, BLOCK, TILE, STAGES,
    )  # fmt: skip
    column = tile * TILE + tl.arange(0, TILE)
    inside = column < outputs
    if HAS_BIAS:
        sums += tl.load(bias + column, mask=inside, other=0)
    sums += tl.load(hidden + column, mask=inside, other=0)
    tl.store(hidden + column, sums, mask=inside)
    target = column
    if HAS_PLACE:
        target = tl.load(place + column, mask=inside, other=0)
    tl.store(normed + target, sums * tl.load(weight + column, mask=inside, other=0).to(tl.float32), mask=inside)
