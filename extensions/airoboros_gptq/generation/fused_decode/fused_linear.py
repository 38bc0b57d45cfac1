"""Linears of a model that share an input, as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from ...kernels.linear import GPTQLinear
from ...kernels.triton.kernel import TritonKernel, same_order
from ...kernels.triton.weight_layout import COLUMN_MULTIPLE


class CannotFuse(Exception):
    """Why a model decodes layer by layer, as half a sentence."""


@dataclass
class FusedLinear:
    """Linears with one input, side by side. `kernel` is that of the first; its sizes and constants are those of all."""

    kernel: TritonKernel
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    bias: torch.Tensor | None  # fp32
    input_scatter: (
        torch.Tensor | None
    )  # int32 [K]: the position of each input feature in the input that the kernels read
    outputs: int
    output_scatter: torch.Tensor | None = (
        None  # int32 [N]: the position of each output of forward_batch(); None: unchanged
    )

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """codes, scales, zeros of all linears."""
        return self.codes, self.scales, self.zeros

    def weight_args(self, outputs: int | None = None) -> tuple[Any, ...]:
        """TritonKernel.weight_args() of all linears; `outputs` in place of the number of their outputs."""
        return self.kernel.weight_args(self.tensors, outputs or self.outputs)

    @property
    def order(self) -> torch.Tensor | None:
        """int32 [K]: the input feature that each row belongs to."""
        return self.kernel.order

    def forward_batch(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, K], features in `order`, to [n, N of all]; through a dequantised copy where n is large."""
        if self.kernel.has_gemm(x):
            return self.kernel.gemm(x, self.tensors, self.outputs, self.bias, self.output_scatter)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if bias is not None and self.output_scatter is not None:
            bias = torch.empty_like(bias).index_copy_(0, self.output_scatter.long(), bias)
        return torch.nn.functional.linear(x, self._dequantised(x.dtype), bias)

    def add_batch_(self, hidden: torch.Tensor, x: torch.Tensor) -> None:
        """hidden [n, N] += forward_batch(x)."""
        if self.kernel.has_gemm(x):
            self.kernel.gemm(x, self.tensors, self.outputs, self.bias, add_to=hidden)
            return
        hidden.addmm_(x, self._dequantised(x.dtype).t())
        if self.bias is not None:
            hidden += self.bias.to(x.dtype)

    def _dequantised(self, dtype: torch.dtype) -> torch.Tensor:
        return self.kernel.dequantize(dtype, self.tensors, self.outputs, self.output_scatter)


def join_linears(*modules: nn.Module) -> FusedLinear:
    """Lets quantised linears with one input share one stretch of memory. Raises CannotFuse."""
    linears = [cast(GPTQLinear, module) for module in modules]
    kernels: list[Any] = [linear.kernel for linear in linears if isinstance(linear.kernel, TritonKernel)]
    if len(kernels) < len(linears):
        raise CannotFuse('some of its linears run on another kernel')
    first: Any = kernels[0]
    kinds = {
        (k.layout, k.bits, k.spec.in_features, k.spec.group_size, k.scales.dtype, k.zeros is None) for k in kernels
    }
    if len(kinds) > 1 or any(k.spec.out_features % COLUMN_MULTIPLE for k in kernels[:-1]):
        raise CannotFuse('its linears differ in width, groups or zeros')
    if not all(same_order(k.order, first.order) for k in kernels):
        raise CannotFuse('linears with one input order it differently')
    bias = None
    if any(linear.bias is not None for linear in linears):
        zeros = [torch.zeros(linear.out_features, device=first.codes.device) for linear in linears]
        bias = torch.cat([z if one.bias is None else one.bias.float() for z, one in zip(zeros, linears, strict=True)])
    codes, scales, zeros_ = (_share_memory(kernels, name) for name in ('codes', 'scales', 'zeros'))
    return FusedLinear(
        kernel=first,
        codes=cast(torch.Tensor, codes),
        scales=cast(torch.Tensor, scales),
        zeros=zeros_,
        bias=bias,
        input_scatter=None if first.order is None else torch.argsort(first.order).int(),
        outputs=sum(k.spec.out_features for k in kernels),
    )


def _share_memory(kernels: list[TritonKernel], name: str) -> torch.Tensor | None:
    """Makes a tensor [T, ...] of several kernels views of one, which is returned."""
    parts = [getattr(kernel, name) for kernel in kernels]
    if parts[0] is None or len(parts) == 1:
        return parts[0]
    joint = torch.cat(parts)
    for kernel, view in zip(kernels, joint.split([len(p) for p in parts]), strict=True):
        setattr(kernel, name, view)
    return joint
