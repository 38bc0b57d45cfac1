"""The kernel in Triton, which PyTorch for NVIDIA GPUs brings along on Linux: 2, 3, 4 and 8 bits, any group size, act-order.

gemv_words.py, gemv_mma.py and gemm_mma.py say how it computes.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import torch

from ...checkpoint.linear_spec import LinearSpec
from ...errors import first_line
from ..base import Kernel
from ..packing import PackedLinear
from ..rules import TRITON
from . import weight_layout
from .device import device_guard
from .weight_layout import BLOCK_ROWS, MMA, MMA_EMULATED, WORDS

log = logging.getLogger('airoboros_gptq')

MAX_GEMV_ROWS = 8  # up to here rows of words are multiplied one by one
MAX_GEMM_ROWS = 64  # up to here rows of blocks share each code; more go to PyTorch's matmul with a dequantised copy
# By layout: tiles per program, warps, and PREFETCH of gemv().
_LAUNCH = {WORDS: (4, 4, 1), MMA_EMULATED: (1, 8, 4), MMA: (1, 8, 4)}
# By rows at most, for few and for many tiles: tiles per program, warps, blocks read ahead, subtiles of eight rows per program.
_GEMM_LAUNCH = (
    (8, (1, 8, 4, 1), (1, 4, 4, 1)),
    (16, (1, 8, 4, 2), (2, 4, 4, 2)),
    (32, (1, 8, 4, 4), (1, 4, 2, 4)),
    (MAX_GEMM_ROWS, (1, 4, 2, 4), (2, 4, 2, 4)),
)
_NARROW_TILES = 256  # a program for each leaves room on a GPU of 132 multiprocessors
_INPUT_BLOCK = 1024  # features that a program of arrange_input_kernel arranges
_DEQUANTIZE_WORDS = 128  # words of a column, or rows of blocks, that a program dequantises


class TritonKernel(Kernel):
    """fp16 or bf16 outside, fp32 inside. Act-order costs one sort of the rows at load."""

    rule, name = TRITON, TRITON.name
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    order: torch.Tensor | None

    def repack(self, packed: PackedLinear, layout: int | None = None) -> dict[str, torch.Tensor | None]:
        """The tensors of a TiledWeight in `layout`; in the fastest that fits where it is None."""
        if layout is None:
            fits = weight_layout.fits_blocks(self.spec)
            layout = _fastest_block_layout(packed.qweight.device) if fits else WORDS
        self.layout, self.bits = layout, TRITON.stored_bits(self.spec.bits)
        return weight_layout.repack(packed, self.spec, layout)._asdict()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from .gemv import arrange_input_kernel, gemv_kernel
        from .permute import permute_columns

        x = x.contiguous()
        rows, inputs = x.shape
        with device_guard(x.device):
            if self.has_gemm(x):
                return self.gemm(permute_columns(x, self.order))
            if rows > MAX_GEMV_ROWS:
                return torch.nn.functional.linear(permute_columns(x, self.order), self.dequantize(x.dtype))
            arranged = torch.empty(rows, inputs, dtype=torch.float32, device=x.device)
            arrange_input_kernel[(rows, -(-inputs // _INPUT_BLOCK))](
                x, x if self.order is None else self.order, arranged, inputs, self.input_size,
                HAS_ORDER=self.order is not None, READER_LAYOUT=self.layout, READER_BITS=self.bits, BLOCK=_INPUT_BLOCK,
            )  # fmt: skip
            y = torch.empty(rows, self.spec.out_features, dtype=x.dtype, device=x.device)
            tiles, warps, prefetch = _LAUNCH[self.layout]
            gemv_kernel[(rows, self.programs(tiles))](
                arranged, y, inputs, *self.weight_args(),
                USE_PDL=False, **self.launch_settings(tiles, warps, prefetch),
            )  # fmt: skip
            return y

    def has_gemm(self, x: torch.Tensor) -> bool:
        """Whether gemm() serves these rows."""
        return self.layout != WORDS and 1 < len(x) <= MAX_GEMM_ROWS and x.dtype in (torch.float16, torch.bfloat16)

    def gemm(
        self,
        x: torch.Tensor,
        tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None] | None = None,
        outputs: int | None = None,
        bias: torch.Tensor | None = None,
        output_scatter: torch.Tensor | None = None,
        add_to: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """x [M, K], contiguous, features in `order`, times the weight, plus `bias` [N] of any dtype: [M, N] in x's dtype, added
        to `add_to` where it is given. `tensors` and `outputs` are those of weight_args(). Output n is column output_scatter[n].
        """
        from .gemm_mma import gemm_mma_kernel

        codes, scales, zeros, outputs, blocks, groups, per_group, _ = self.weight_args(tensors, outputs)
        y = torch.empty(len(x), outputs, dtype=x.dtype, device=x.device) if add_to is None else add_to
        tiles, warps, unroll, subtiles = _gemm_launch(len(x), len(codes))
        unroll = self.fitting_unroll(unroll)
        with device_guard(x.device):
            gemm_mma_kernel[(-(-len(x) // (8 * subtiles)), self.programs(tiles, codes))](
                x, y, x if bias is None else bias, codes if output_scatter is None else output_scatter,
                codes, scales, zeros, outputs, blocks, groups, per_group, len(codes), len(x),
                HAS_BIAS=bias is not None, HAS_SCATTER=output_scatter is not None, ADD=add_to is not None,
                HAS_ZEROS=self.zeros is not None, SUBTILES=subtiles, WARPS=warps, TILES=tiles, UNROLL=unroll,
                USE_MMA=self.layout == MMA, num_warps=warps,
            )  # fmt: skip
        return y

    def dequantize(
        self,
        dtype: torch.dtype,
        tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None] | None = None,
        outputs: int | None = None,
        output_scatter: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The weight [N, K] in `dtype`, input features in `order`. `tensors` and `outputs` are those of weight_args(). Output n
        is row output_scatter[n], int32 [N].
        """
        from .gemv_mma import dequantize_blocks_kernel
        from .gemv_words import dequantize_words_kernel

        codes, scales, zeros, outputs, *sizes, _ = self.weight_args(tensors, outputs)
        weight = torch.empty(outputs, self.spec.in_features, dtype=dtype, device=codes.device)
        args = (weight, codes, scales, zeros, codes if output_scatter is None else output_scatter, outputs, *sizes)
        flags = {'HAS_ZEROS': self.zeros is not None, 'HAS_SCATTER': output_scatter is not None}
        units, tiles = sizes[0], len(codes)
        with device_guard(weight.device):
            if self.layout == WORDS:
                grid = (-(-units // _DEQUANTIZE_WORDS), tiles)
                dequantize_words_kernel[grid](*args, BITS=self.bits, BLOCK=_DEQUANTIZE_WORDS, **flags)
            else:
                blocks = _DEQUANTIZE_WORDS // BLOCK_ROWS
                dequantize_blocks_kernel[(-(-units // blocks), tiles)](*args, BLOCKS=blocks, **flags)
        return weight

    @property
    def input_size(self) -> int:
        """What store_input() of gemv.py must know of the input besides layout and bits."""
        return self._units if self.layout == WORDS else self.spec.in_features

    def weight_args(
        self,
        tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None] | None = None,
        outputs: int | None = None,
    ) -> tuple[Any, ...]:
        """The arguments about the weight that the kernels share, in their order: codes, scales, zeros, outputs, units, groups,
        units_per_group, one_bits. A unit is a word of a column, or a block.

        `tensors` are codes, scales and zeros of several linears with one input, side by side, with `outputs` columns.
        """
        from .gemv_words import ONE_BITS

        codes, scales, zeros = tensors or (self.codes, self.scales, self.zeros)
        per_group = self.spec.group_size // self._unit_rows
        zeros = codes if zeros is None else zeros  # not read
        return (
            codes,
            scales,
            zeros,
            outputs or self.spec.out_features,
            self._units,
            scales.shape[1],
            per_group,
            ONE_BITS,
        )

    def programs(self, tiles: int, codes: torch.Tensor | None = None) -> int:
        """The grid of a launch with so many tiles per program; of the joined `codes` of several linears."""
        return -(-len(self.codes if codes is None else codes) // tiles)

    def launch_settings(self, tiles: int, warps: int, prefetch: int) -> dict[str, Any]:
        """Compile-time settings of gemv() for programs of so many tiles. `prefetch`: whether the next words are read while one
        block of them is worked on, or how many blocks a warp reads at once; fewer where they do not divide a group.
        """
        if self.layout != WORDS:
            prefetch = self.fitting_unroll(prefetch)
        return {
            'LAYOUT': self.layout,
            'BITS': self.bits,
            'HAS_ZEROS': self.zeros is not None,
            'WARPS': warps,
            'TILES': tiles,
            'PREFETCH': prefetch,
            'num_warps': warps,
        }

    def fitting_unroll(self, most: int) -> int:
        """How many blocks a warp may read at once, at most so many: a power of two that divides a group, and the input."""
        while self.spec.group_size // BLOCK_ROWS % most or self._units % most:
            most //= 2
        return most

    @property
    def _unit_rows(self) -> int:
        return 32 // self.bits if self.layout == WORDS else BLOCK_ROWS

    @property
    def _units(self) -> int:
        return self.spec.in_features // self._unit_rows


def same_order(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """Whether two linears read their input features in the same order."""
    return one is other if one is None or other is None else torch.equal(one, other)


def _gemm_launch(rows: int, tiles: int) -> tuple[int, int, int, int]:
    """For gemm_mma_kernel: tiles per program, warps, blocks read ahead, subtiles of eight rows per program."""
    is_wide = tiles > _NARROW_TILES
    for most, narrow, wide in _GEMM_LAUNCH:
        if rows <= most:
            return wide if is_wide else narrow
    raise ValueError(f'{rows} rows')


@lru_cache
def _fastest_block_layout(device: torch.device) -> int:
    """The layout for linears that fit in blocks. Whether the code for tensor cores works depends on how Triton lays out its
    threads, so it is tried first, once per device.
    """
    if device.type != 'cuda':
        return MMA_EMULATED
    if torch.version.hip or torch.cuda.get_device_capability(device) < (8, 0):
        return WORDS
    try:
        works, reason = _mma_deviation(device) < 1e-3, 'its sums are wrong'
    except Exception as e:
        works, reason = False, first_line(e)
    if works:
        return MMA
    log.warning('4-bit linears run without tensor cores, slower: they do not work with this Triton (%s)', reason)
    return WORDS


def _mma_deviation(device: torch.device) -> float:
    """The relative deviation of a small random linear on tensor cores from its dequantised copy."""
    with torch.random.fork_rng([device]), torch.no_grad():
        torch.manual_seed(0)
        spec = LinearSpec(256, 64, 4, 128, False)
        packed = PackedLinear(
            torch.randint(-(2**31), 2**31, (32, 64), device=device).int(),
            torch.randint(0, 2**31, (2, 8), device=device).int(),
            torch.rand(2, 64, device=device).half(),
            None,
        )
        kernel = TritonKernel(packed, spec, layout=MMA)
        x = torch.randn(1, 256, device=device)
        expected = torch.nn.functional.linear(x, kernel.dequantize(torch.float32))
        return float((kernel(x) - expected).norm() / expected.norm())
