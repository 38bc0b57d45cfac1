"""The columns of activations, put into the order in which a linear with act-order reads them."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCK = 1024  # columns of a program


@triton.jit
def _permute_kernel(x, order, y, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * columns
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = column < columns
    source = tl.load(order + column, mask=mask, other=0)
    tl.store(y + row + column, tl.load(x + row + source, mask=mask, other=0), mask=mask)


def permute_columns(x: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """x [M, K], contiguous, with order int32 [K], to y [M, K]: y[m, k] = x[m, order[k]]. `x` itself where order is None."""
    if order is None:
        return x
    y = torch.empty_like(x)
    _permute_kernel[(len(x), triton.cdiv(x.shape[1], _BLOCK))](x, order, y, x.shape[1], BLOCK=_BLOCK)
    return y
