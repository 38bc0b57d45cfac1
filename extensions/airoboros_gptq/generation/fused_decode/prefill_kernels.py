"""What a prompt needs between its matmuls, one pass over memory each, with columns in the order of the linear that reads them.

`order` int32 [K] is as in Layout; HAS_ORDER is False where the order is the model's own. Sums are fp32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .activation import activate

_WIDTH = 1024  # elements of a program


@triton.jit
def _rms_norm_kernel(x, weight, order, y, size, epsilon, HAS_ORDER: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * size
    at = tl.arange(0, WIDTH)
    inside = at < size
    value = tl.load(x + row + at, mask=inside, other=0).to(tl.float32)
    scale = 1 / tl.sqrt(tl.sum(value * value, 0) / size + epsilon)
    place = at
    if HAS_ORDER:
        place = tl.load(order + at, mask=inside, other=0)
        value = tl.load(x + row + place, mask=inside, other=0).to(tl.float32)
    value *= scale * tl.load(weight + place, mask=inside, other=0).to(tl.float32)
    tl.store(y + row + at, value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _gated_kernel(x, y, size, ACTIVATION: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * size
    at = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = at < size
    source = x + 2 * row + at
    gate = tl.load(source, mask=inside, other=0).to(tl.float32)
    up = tl.load(source + size, mask=inside, other=0).to(tl.float32)
    tl.store(y + row + at, (activate(gate, ACTIVATION) * up).to(y.dtype.element_ty), mask=inside)


@triton.jit
def rotate_heads(
    value, row, position, inside, head, q_norm, k_norm, cos, sin, epsilon,
    HEADS: tl.constexpr, DIM: tl.constexpr, PAD: tl.constexpr, HAS_NORMS: tl.constexpr,
):  # fmt: skip
    """A head of several tokens, value [n, PAD], of which DIM count, which lies at row [n, 1], behind its RMSNorm where it has
    one, with the rotary embedding of position [n, 1]. `inside` [n, PAD]. From HEADS on a head is a key's.
    """
    HALF: tl.constexpr = DIM // 2
    d = tl.arange(0, PAD)
    other = tl.where(d < HALF, d + HALF, d - HALF)
    sign = tl.where(d < HALF, -1.0, 1.0)
    turned = tl.load(row + other[None, :], mask=inside, other=0).to(tl.float32) * sign[None, :]
    if HAS_NORMS:
        norm = q_norm
        if head >= HEADS:
            norm = k_norm
        factor = (1 / tl.sqrt(tl.sum(value * value, 1) / DIM + epsilon))[:, None]
        value *= factor * tl.load(norm + d, mask=d < DIM, other=0).to(tl.float32)[None, :]
        turned *= factor * tl.load(norm + other, mask=d < DIM, other=0).to(tl.float32)[None, :]
    angle = position * DIM + d[None, :]
    return value * tl.load(cos + angle, mask=inside, other=0) + turned * tl.load(sin + angle, mask=inside, other=0)


@triton.jit(do_not_specialize=['count', 'first'])  # or it is compiled anew in the middle of a chat
def _rope_kernel(
    qkv, q_norm, k_norm, cos, sin, queries, keys, count, first, epsilon,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, DIM: tl.constexpr, PAD: tl.constexpr, HAS_NORMS: tl.constexpr,
    TOKENS: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    t = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    d = tl.arange(0, PAD)
    inside = (t < count)[:, None] & (d < DIM)[None, :]
    row = qkv + (t.to(tl.int64) * (HEADS + 2 * KV_HEADS) + head)[:, None] * DIM
    value = tl.load(row + d[None, :], mask=inside, other=0).to(tl.float32)
    value = rotate_heads(
        value, row, (first + t)[:, None], inside, head, q_norm, k_norm, cos, sin, epsilon, HEADS, DIM, PAD, HAS_NORMS
    )  # fmt: skip
    value = value.to(queries.dtype.element_ty)
    if head < HEADS:
        tl.store(queries + (t.to(tl.int64) * HEADS + head)[:, None] * DIM + d[None, :], value, mask=inside)
    else:
        tl.store(keys + ((head - HEADS).to(tl.int64) * count + t)[:, None] * DIM + d[None, :], value, mask=inside)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float, order: torch.Tensor | None) -> torch.Tensor:
    """RMSNorm of the rows of x [n, K], in `order`."""
    y = torch.empty_like(x)
    size = x.shape[1]
    width = triton.next_power_of_2(size)
    _rms_norm_kernel[(len(x),)](
        x, weight, x if order is None else order, y, size, epsilon, HAS_ORDER=order is not None, WIDTH=width,
        num_warps=max(4, min(16, width // 512)),
    )  # fmt: skip
    return y


def gated(x: torch.Tensor, activation: str) -> torch.Tensor:
    """x [n, 2 K], gate and up side by side, to activation(gate) * up [n, K]."""
    y = torch.empty(len(x), x.shape[1] // 2, dtype=x.dtype, device=x.device)
    size = y.shape[1]
    _gated_kernel[(len(x), triton.cdiv(size, _WIDTH))](x, y, size, ACTIVATION=activation, WIDTH=_WIDTH)
    return y


def apply_rope(qkv: torch.Tensor, layer, plan, first: int):
    """qkv [n, heads + 2 kv_heads, dim] of a layer, tokens from the position `first` on, to queries [n, heads, dim] and keys
    [kv_heads, n, dim], behind their norms where the layer has such, with their rotary embedding.
    """
    heads, kv_heads = plan.heads, plan.kv_heads
    count, _, dim = qkv.shape
    queries = torch.empty(count, heads, dim, dtype=qkv.dtype, device=qkv.device)
    keys = torch.empty(kv_heads, count, dim, dtype=qkv.dtype, device=qkv.device)
    tokens = 32
    _rope_kernel[(triton.cdiv(count, tokens), heads + kv_heads)](
        qkv, *layer.head_norms, *layer.rotary, queries, keys, count, first, plan.epsilon,
        HEADS=heads, KV_HEADS=kv_heads, DIM=dim, PAD=triton.next_power_of_2(dim), HAS_NORMS=layer.has_head_norms, TOKENS=tokens,
    )  # fmt: skip
    return queries, keys
