"""The kernel that is compiled on the user's machine: 2, 3, 4 and 8 bits, nearly any group size, act-order, on x86-64.

How it computes stands in `core/native/gptq_cpu.cpp`.
"""

from __future__ import annotations

import torch

from ..base import Kernel
from ..packing import LinearSpec, PackedLinear
from ..rules import native_block
from .bindings import TYPES, Tiles, find_library, multiply, pack


class NativeCpuKernel(Kernel):
    """Keeps the codes as the file packs them, in tiles of columns. Act-order costs one sort of the rows at load."""

    name = 'native-cpu'

    @classmethod
    def why_not(cls, spec: LinearSpec, device: torch.device) -> str | None:
        if device.type != 'cpu':
            return f'it does not run on {device.type}'
        if spec.bits not in (2, 3, 4, 8):
            return f'it is for 2, 3, 4 and 8 bits, the file has {spec.bits}'
        if native_block(spec) is None:
            return 'it is for groups of one size, a multiple of 8, of which only the last may be shorter'
        return find_library()[1]

    @classmethod
    def compute_dtype(cls, device: torch.device) -> torch.dtype:
        return torch.bfloat16 if device.type == 'cpu' else torch.float16

    def __init__(self, packed: PackedLinear, spec: LinearSpec, dtype: torch.dtype):
        super().__init__(packed, spec, dtype)
        self.spec = spec
        for name, tensor in pack(find_library()[0], packed, spec)._asdict().items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype not in TYPES:
            return self.forward(x.float()).to(x.dtype)
        if not x.device == self.codes.device == torch.device('cpu'):
            raise RuntimeError(
                f'{self.name} runs on the CPU alone; load the model onto {x.device} instead of moving it'
            )
        tiles = Tiles(self.codes, self.scales, self.zeros, self.order)
        return multiply(find_library()[0], x.contiguous(), tiles, self.spec)
