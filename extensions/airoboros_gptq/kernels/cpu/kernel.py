"""The kernel that is compiled on this machine: 2, 3, 4 and 8 bits, nearly any group size, act-order, on x86-64.

csrc/gemm.cpp says how it computes.
"""

from __future__ import annotations

import ctypes

import torch

from ..base import Kernel
from ..packing import PackedLinear
from ..rules import NATIVE_CPU
from .bindings import TYPES, Tiles, find_library, multiply, pack


class NativeCpuKernel(Kernel):
    """Keeps the codes packed, in tiles of columns. Act-order costs one sort of the rows at load."""

    rule, name = NATIVE_CPU, NATIVE_CPU.name
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    order: torch.Tensor | None

    @classmethod
    def missing_requirement(cls, device: torch.device) -> str | None:
        return find_library()[1]

    def repack(self, packed: PackedLinear) -> dict[str, torch.Tensor | None]:
        return pack(_library(), packed, self.spec)._asdict()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype not in TYPES:
            return self.forward(x.float()).to(x.dtype)
        if not x.device == self.codes.device == torch.device('cpu'):
            raise RuntimeError(
                f'{self.name} runs on the CPU alone; load the model onto {x.device} instead of moving it'
            )
        tiles = Tiles(self.codes, self.scales, self.zeros, self.order)
        return multiply(_library(), x.contiguous(), tiles, self.spec)


def _library() -> ctypes.CDLL:
    library, reason = find_library()
    if library is None:
        raise RuntimeError(f'There is no compiled kernel: {reason}.')
    return library
