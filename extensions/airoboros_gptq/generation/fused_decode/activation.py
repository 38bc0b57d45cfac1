"""Activations of gated MLPs, for Triton's kernels.

Source of the formulas: PyTorch's `nn.SiLU` and `nn.GELU(approximate='tanh')`.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def tanh(x):
    """Without overflow: e^(2x) is infinite where the answer is 1."""
    return 1 - 2 / (tl.exp(2 * x) + 1)


@triton.jit
def activate(x, ACTIVATION: tl.constexpr):
    """x fp32, of any shape. ACTIVATION is as config.json names it."""
    if ACTIVATION == 'silu':
        y = x / (1 + tl.exp(-x))
    else:
        tl.static_assert(ACTIVATION == 'gelu_pytorch_tanh')
        y = 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))  # the root of 2 / pi
    return y
