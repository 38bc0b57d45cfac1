"""Dequantise, then matmul: slow, obviously right, any device, any bits."""

from __future__ import annotations

import torch

from .base import Kernel
from .packing import LinearSpec, PackedLinear, dequantize


class ReferenceKernel(Kernel):
    """Keeps the packed tensors and dequantises at every call, so it needs no more memory than the file."""

    name = 'reference'

    @classmethod
    def why_not(cls, spec: LinearSpec, device: torch.device) -> str | None:
        return None if spec.bits in (2, 3, 4, 8) else f'{spec.bits}-bit is not a GPTQ width'

    @classmethod
    def compute_dtype(cls, device: torch.device) -> torch.dtype:
        return torch.float32 if device.type == 'cpu' else torch.float16

    def __init__(self, packed: PackedLinear, spec: LinearSpec, dtype: torch.dtype):
        super().__init__(packed, spec, dtype)
        self.spec = spec
        self.register_buffer('qweight', packed.qweight, persistent=False)
        self.register_buffer('qzeros', packed.qzeros, persistent=False)
        self.register_buffer('scales', packed.scales, persistent=False)
        self.register_buffer('g_idx', packed.g_idx, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        packed = PackedLinear(self.qweight, self.qzeros, self.scales, self.g_idx)
        return x @ dequantize(packed, self.spec, x.dtype)
