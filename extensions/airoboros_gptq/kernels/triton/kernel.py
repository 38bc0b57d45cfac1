"""Triton's kernels, which PyTorch for NVIDIA GPUs brings with it: 2, 3, 4 and 8 bits, any group size, act-order.

How they compute stands in `core/gpu/blocks.py` and `core/gpu/matmul.py`.
"""

from __future__ import annotations

import logging

import torch

from ...checkpoint.linear_spec import LinearSpec
from ...errors import first_line
from ..base import Kernel
from ..packing import PackedLinear
from ..rules import TRITON
from . import weight_layout as layout
from .device import on

log = logging.getLogger('airoboros_gptq')

FEW = 8  # rows up to which each is multiplied by itself; more go through a dequantised copy and PyTorch's matmul
# Of a program: tiles, warps, and what is read ahead.
_WAYS = {layout.WORDS: (4, 4, 1), layout.BLOCKS: (1, 8, 4), layout.TENSOR: (1, 8, 4)}
_WIDTH = 1024  # features of a row that a program arranges
_DEQUANTISED = 128  # words of a column, or rows of blocks, that a program dequantises
_forms: dict[torch.device, int] = {}


class TritonKernel(Kernel):
    """fp16 or bf16 outside, fp32 inside. Act-order costs one sort of the rows at load."""

    rule, name = TRITON, TRITON.name
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    order: torch.Tensor | None

    def repack(self, packed: PackedLinear, form: int | None = None) -> dict[str, torch.Tensor | None]:
        """The tensors of weight_layout.Layout, in the layout `form`; the fastest that fits where it is None."""
        if form is None:
            form = _form_of_blocks(packed.qweight.device) if layout.fits_blocks(self.spec) else layout.WORDS
        self.form, self.bits = form, TRITON.stored_bits(self.spec.bits)
        return layout.make_layout(packed, self.spec, form)._asdict()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from .gemv import input_kernel, rows_kernel
        from .gemv_words import ONE
        from .permute import permute_columns

        x = x.contiguous()
        count, size = x.shape
        with on(x.device):
            if count > FEW:
                return torch.nn.functional.linear(permute_columns(x, self.order), self.dequantise(x.dtype))
            arranged = torch.empty(count, size, dtype=torch.float32, device=x.device)
            input_kernel[(count, -(-size // _WIDTH))](
                x, x if self.order is None else self.order, arranged, size, self.input_size(),
                HAS_ORDER=self.order is not None, READER=self.form, BITS=self.bits, WIDTH=_WIDTH,
            )  # fmt: skip
            y = torch.empty(count, self.spec.out_features, dtype=x.dtype, device=x.device)
            tiles, warps, ahead = _WAYS[self.form]
            rows_kernel[(count, self.programs(tiles))](
                arranged, y, *self.tensors(), size, self.spec.out_features, *self.sizes(), ONE,
                EARLY=False, **self.constants(tiles, warps, ahead),
            )  # fmt: skip
            return y

    def dequantise(
        self,
        dtype: torch.dtype,
        tensors: tuple | None = None,
        outputs: int | None = None,
        rows: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The weight [N, K] in `dtype`, features of the input in the order of `order`; of `tensors` with `outputs` columns, where
        several linears lie side by side. `rows` int32 [N] says where each column's row is to stand.
        """
        from .gemv_mma import dequantise_blocks_kernel
        from .gemv_words import dequantise_kernel

        outputs = outputs or self.spec.out_features
        codes, *others = tensors or self.tensors()
        weight = torch.empty(outputs, self.spec.in_features, dtype=dtype, device=codes.device)
        common = (weight, codes, *others, codes if rows is None else rows, outputs, *self.sizes())
        flags = {'HAS_ZEROS': self.zeros is not None, 'HAS_ROWS': rows is not None}
        words = self.sizes()[0]
        with on(weight.device):
            if self.form == layout.WORDS:
                dequantise_kernel[(-(-words // _DEQUANTISED), len(codes))](
                    *common, BITS=self.bits, BLOCK=_DEQUANTISED, **flags
                )
            else:
                steps = _DEQUANTISED // layout.BLOCK_ROWS
                dequantise_blocks_kernel[(-(-words // steps), len(codes))](*common, STEPS=steps, **flags)
        return weight

    def tensors(self) -> tuple:
        """codes, scales and zeros, as the kernels take them."""
        return self.codes, self.scales, self.codes if self.zeros is None else self.zeros

    def sizes(self) -> tuple[int, int, int]:
        """Words of a column, or blocks; groups; words or blocks of a group."""
        rows = 32 // self.bits if self.form == layout.WORDS else layout.BLOCK_ROWS
        return self.spec.in_features // rows, self.scales.shape[1], self.spec.group_size // rows

    def input_size(self) -> int:
        """What gpu.sums.write_input() must know besides form and bits."""
        return self.sizes()[0] if self.form == layout.WORDS else self.spec.in_features

    def programs(self, tiles: int, tensors: tuple | None = None) -> int:
        """Programs of a launch, of `tensors` where several linears lie side by side."""
        return -(-len((tensors or self.tensors())[0]) // tiles)

    def constants(self, tiles: int, warps: int, ahead: int) -> dict:
        """Compile-time settings of gpu.sums.linear_sums(), for programs of so many tiles."""
        if self.form != layout.WORDS:
            steps, _, per_group = self.sizes()
            while per_group % ahead or steps % ahead:
                ahead //= 2
        return {
            'FORM': self.form,
            'BITS': self.bits,
            'HAS_ZEROS': self.zeros is not None,
            'WARPS': warps,
            'TILES': tiles,
            'AHEAD': ahead,
            'num_warps': warps,
        }


def _form_of_blocks(device: torch.device) -> int:
    """On a GPU, how blocks are best computed, looked up once: their code for tensor cores stands or falls with how Triton lays
    out its threads, so it is tried first.
    """
    if device.type != 'cuda':
        return layout.BLOCKS
    if device not in _forms:
        _forms[device] = layout.WORDS
        if not torch.version.hip and torch.cuda.get_device_capability(device) >= (8, 0):
            try:
                works, why = _deviation_on_tensor_cores(device) < 1e-3, 'its sums are wrong'
            except Exception as e:
                works, why = False, first_line(e)
            if works:
                _forms[device] = layout.TENSOR
            else:
                log.warning('4-bit linears run without tensor cores, slower: this Triton does not suit them (%s)', why)
    return _forms[device]


def _deviation_on_tensor_cores(device: torch.device) -> float:
    """Of a small random linear from its dequantised copy."""
    with torch.random.fork_rng([device]), torch.no_grad():
        torch.manual_seed(0)
        spec = LinearSpec(256, 64, 4, 128, False)
        packed = PackedLinear(
            torch.randint(-(2**31), 2**31, (32, 64), device=device).int(),
            torch.randint(0, 2**31, (2, 8), device=device).int(),
            torch.rand(2, 64, device=device).half(),
            None,
        )
        kernel = TritonKernel(packed, spec, form=layout.TENSOR)
        x = torch.randn(1, 256, device=device)
        right = torch.nn.functional.linear(x, kernel.dequantise(torch.float32))
        return float((kernel(x) - right).norm() / right.norm())
