"""A matrix product with a weight that is not quantised, as lm_head's, for few rows (csrc/dense.h)."""

from __future__ import annotations

import ctypes

import torch

from .dtypes import DTYPE_CODES

DENSE_STEP, MAX_DENSE_ROWS = 32, 4  # inputs come in multiples of the first; with more rows PyTorch's product is faster


def dense(library: ctypes.CDLL, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x [M, K] and weight [N, K], contiguous and of the same of DTYPE_CODES, to x @ weight.T [M, N], summed in fp32.

    K is a multiple of DENSE_STEP. Meant for M up to MAX_DENSE_ROWS. A row's result does not depend on the other rows, nor on
    the number of threads. Raises MemoryError.
    """
    rows, outputs = x.shape[0], weight.shape[0]
    y = torch.empty(rows, outputs, dtype=x.dtype)
    failed = library.gptq_dense(
        x.data_ptr(),
        weight.data_ptr(),
        y.data_ptr(),
        DTYPE_CODES[x.dtype],
        rows,
        x.shape[1],
        outputs,
        torch.get_num_threads(),
    )
    if failed:
        raise MemoryError(f'no memory for {rows} rows of the lm_head')
    return y


def reference(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What dense() computes, by the formula in fp64; in x's dtype."""
    return (x.double() @ weight.double().T).to(x.dtype)
