"""Triton's kernels, which PyTorch for NVIDIA GPUs brings with it: 2, 3, 4 and 8 bits, any group size, act-order.

How they compute stands in `core/gpu/matmul.py`.
"""

from __future__ import annotations

import os

import torch

from ..gpu.layout import make_layout
from ..kernel_rules import has_triton, stored_bits, triton_words
from ..quantization import LinearSpec, PackedLinear
from .base import Kernel

FEW = 8  # rows up to which each is multiplied by itself; more go through a dequantised copy and PyTorch's matmul
_TILES, _WARPS = 4, 4
_DEQUANTISED = 128  # words that a program dequantises


class TritonKernel(Kernel):
    """fp16 or bf16 outside, fp32 inside. Act-order costs one sort of the rows at load."""

    name = 'triton'

    @classmethod
    def why_not(cls, spec: LinearSpec, device: torch.device) -> str | None:
        interpreted = os.environ.get('TRITON_INTERPRET') == '1'  # Triton's way of running kernels as Python, for tests
        if device.type != 'cuda' and not interpreted:
            return f'it does not run on {device.type}'
        if not has_triton():
            return 'Triton is not installed (pip install triton, or triton-windows on Windows)'
        if not interpreted and not torch.version.hip and torch.cuda.get_device_capability(device) < (7, 0):
            return 'the GPU is older than sm70'
        if spec.bits not in (2, 3, 4, 8):
            return f'it is for 2, 3, 4 and 8 bits, the file has {spec.bits}'
        if triton_words(spec) is None:
            return (
                f'it is for groups of one size, a multiple of {32 // stored_bits(spec.bits)}, and the file has another'
            )
        return None

    @classmethod
    def is_worthwhile(cls, spec: LinearSpec, device: torch.device) -> bool:
        return device.type == 'cuda'

    @classmethod
    def compute_dtype(cls, device: torch.device) -> torch.dtype:
        return torch.float32 if device.type == 'cpu' else torch.float16

    def __init__(self, packed: PackedLinear, spec: LinearSpec, dtype: torch.dtype):
        super().__init__(packed, spec, dtype)
        self.spec = spec
        self.bits = stored_bits(spec.bits)
        for name, tensor in make_layout(packed, spec)._asdict().items():
            self.register_buffer(name, tensor, persistent=False)
        factors = torch.tensor([4.0**self.bits, 2.0**self.bits] * (16 // self.bits), device=self.codes.device)
        self.register_buffer('factors', factors, persistent=False)  # as gpu.matmul.factors() says
        per_word = 32 // self.bits
        self.words = triton_words(spec)
        self.words_per_group = spec.group_size // per_word

    @property
    def groups(self) -> int:
        return self.scales.shape[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.order is not None:
            x = x.index_select(1, self.order)
        if len(x) > FEW:
            return torch.nn.functional.linear(x, self.dequantise(x.dtype))
        from ..gpu.matmul import ONE, rows_kernel

        y = torch.empty(len(x), self.spec.out_features, dtype=x.dtype, device=x.device)
        scaled = (x.view(len(x), self.words, -1) * self.factors).transpose(1, 2).contiguous()
        rows_kernel[(len(x), -(-len(self.codes) // _TILES))](
            scaled, y, *self.tensors(), self.spec.in_features, self.spec.out_features, *self.sizes(), ONE,
            **self.constants(_TILES, _WARPS, True), num_warps=_WARPS,
        )  # fmt: skip
        return y

    def dequantise(self, dtype: torch.dtype, tensors: tuple | None = None, outputs: int | None = None) -> torch.Tensor:
        """The weight [N, K] in `dtype`, features of the input in the order of `order`; of `tensors` with `outputs` columns, where
        several linears lie side by side.
        """
        from ..gpu.matmul import dequantise_kernel

        outputs = outputs or self.spec.out_features
        codes, *others = tensors or self.tensors()
        weight = torch.empty(outputs, self.spec.in_features, dtype=dtype, device=codes.device)
        dequantise_kernel[(-(-self.words // _DEQUANTISED), len(codes))](
            weight, codes, *others, outputs, *self.sizes(),
            BITS=self.bits, HAS_ZEROS=self.zeros is not None, BLOCK=_DEQUANTISED, num_warps=_WARPS,
        )  # fmt: skip
        return weight

    def tensors(self) -> tuple:
        """codes, scales and zeros, as the kernels take them."""
        return self.codes, self.scales, self.codes if self.zeros is None else self.zeros

    def sizes(self) -> tuple[int, int, int]:
        return self.words, self.groups, self.words_per_group

    def constants(self, tiles: int, warps: int, ahead: bool) -> dict:
        """Compile-time settings of gpu.matmul.tile_sums()."""
        block = 32 * warps
        return {
            'BITS': self.bits,
            'HAS_ZEROS': self.zeros is not None,
            'EVEN': self.words % block == 0,
            'BLOCK': block,
            'TILES': tiles,
            'AHEAD': ahead,
        }
