"""Dequantise, then matmul: slow, exact, on any device, for any layout of groups."""

from __future__ import annotations

import torch

from .base import Kernel
from .packing import PackedLinear, dequantize
from .rules import REFERENCE


class ReferenceKernel(Kernel):
    """Keeps the packed tensors and dequantises at every call, so it needs no more memory than the file."""

    rule, name = REFERENCE, REFERENCE.name
    qweight: torch.Tensor
    qzeros: torch.Tensor
    scales: torch.Tensor
    g_idx: torch.Tensor | None

    def repack(self, packed: PackedLinear) -> dict[str, torch.Tensor | None]:
        return {name: getattr(packed, name) for name in ('qweight', 'qzeros', 'scales', 'g_idx')}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        packed = PackedLinear(self.qweight, self.qzeros, self.scales, self.g_idx)
        return x @ dequantize(packed, self.spec, x.dtype)
