"""The kernel that is compiled on this machine: 2, 3, 4 and 8 bits, nearly any group size, act-order, on x86-64.

csrc/gemm.h says how it computes.
"""

from __future__ import annotations

import torch

from ..base import Kernel
from ..packing import PackedLinear
from ..rules import NATIVE_CPU
from .bindings import TiledWeight, gemm, load_library, repack, unavailable_reason
from .dtypes import DTYPE_CODES


class NativeCpuKernel(Kernel):
    """Keeps the codes packed, in tiles of columns. Act-order costs one sort of the rows at load."""

    rule, name = NATIVE_CPU, NATIVE_CPU.name
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    order: torch.Tensor | None

    @classmethod
    def missing_requirement(cls, device: torch.device) -> str | None:
        return unavailable_reason()

    def repack(self, packed: PackedLinear) -> dict[str, torch.Tensor | None]:
        return repack(load_library(), packed, self.spec)._asdict()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype not in DTYPE_CODES:
            return self.forward(x.float()).to(x.dtype)
        if not x.device == self.codes.device == torch.device('cpu'):
            raise RuntimeError(
                f'{self.name} runs on the CPU alone; load the model onto {x.device} instead of moving it'
            )
        weight = TiledWeight(self.codes, self.scales, self.zeros, self.order)
        return gemm(load_library(), x.contiguous(), weight, self.spec)
