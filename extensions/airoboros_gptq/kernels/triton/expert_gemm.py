"""x @ w of the expert that each row has chosen, of all experts of a layer in one launch, without asking the GPU what was chosen.

Weights stay where the experts' linears have them, and are found through tables of addresses. Rows are sorted by expert, and a
program has rows of one expert, as in MegaBlocks (Gale et al., 2022); how many programs that takes is bounded beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import triton
import triton.language as tl

from .device import device_guard
from .dtypes import TRITON_TYPES
from .gemm_mma import gemm_mma
from .kernel import TritonKernel, same_order
from .weight_layout import MMA, WORDS

# Rows per expert on average, at most: subtiles of eight rows per program.
_SUBTILES = ((8, 1), (16, 2))
_UNROLL = 4  # blocks that a warp reads ahead
_LONG_INPUT = 64  # blocks of 32 features, from which on four warps share out those of one token, else two


@dataclass(frozen=True)
class ExpertRows:
    """Which rows of a matmul belong to which expert, sorted: S = tokens * k rows in B blocks.

    expert, first and end [B]: the sorted rows first to end - 1, if any, are of that expert. chosen and token [S]: what a sorted
    row's choice is, and whose. place [S]: the sorted row of each choice, token by token. All int64, on the GPU.
    """

    expert: torch.Tensor
    first: torch.Tensor
    end: torch.Tensor
    chosen: torch.Tensor
    token: torch.Tensor
    place: torch.Tensor
    subtiles: int

    @classmethod
    def sort(cls, index: torch.Tensor, experts: int) -> ExpertRows:
        """For the experts [tokens, k] that each token has chosen of so many. Beyond them means none."""
        tokens, k = index.shape
        device = index.device
        if tokens == 1:
            ranks, after, zeros = _constants(k, device)
            return cls(index[0], ranks, after, index[0], zeros, ranks, 1)
        subtiles = next((n for most, n in _SUBTILES if tokens * k <= most * experts), 4)
        rows, size = tokens * k, 8 * subtiles
        chosen = index.reshape(-1).long().clamp(max=experts)
        order = chosen.argsort(stable=True)
        counts = torch.zeros(experts + 1, dtype=torch.int64, device=device).scatter_add_(
            0, chosen, torch.ones_like(chosen)
        )
        ends = counts.cumsum(0)
        blocks = (counts + (size - 1)) // size
        last_block = blocks.cumsum(0)
        block = torch.arange(rows // size + min(rows, experts + 1), device=device)
        expert = torch.searchsorted(last_block, block, right=True).clamp(max=experts)
        first = (ends - counts)[expert] + (block - (last_block - blocks)[expert]) * size
        place = torch.empty_like(order).scatter_(0, order, torch.arange(rows, device=device))
        end = torch.minimum(ends[expert], first + size)
        return cls(expert, first, end, chosen[order], order // k, place, subtiles)


@lru_cache(maxsize=16)
def _constants(k: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    with torch.inference_mode(False):
        ranks = torch.arange(k, device=device)
        return ranks, ranks + 1, torch.zeros_like(ranks)


class ExpertGemm:
    """The weights of linears that lie side by side in each of E experts, P of them of the same sizes."""

    @staticmethod
    def serves(kernels: Sequence[Sequence[TritonKernel]]) -> bool:
        """Whether these linears [E][P] are quantised and laid out alike, and expect their inputs in the same order."""
        kinds = {
            (
                *(k.layout, k.codes.shape, k.codes.device, k.scales.shape, k.scales.dtype, k.spec.out_features),
                *(k.zeros is None, k.order is None),
            )
            for parts in kernels
            for k in parts
        }
        return (
            len(kinds) == 1
            and kernels[0][0].layout != WORDS
            and all(same_order(k.order, parts[0].order) for parts in kernels for k in parts[1:])
        )

    def __init__(self, kernels: Sequence[Sequence[TritonKernel]]):
        """`kernels` [E][P], which serves() has accepted; their tensors must live, and stay where they are, as long as this."""
        self.kernel = first = kernels[0][0]
        self.experts, self.parts = len(kernels), len(kernels[0])
        # One more, of scales of zero, for a choice of no expert.
        self._no_scales = torch.zeros_like(first.scales)
        rows = [[(k.codes, k.scales, k.zeros) for k in parts] for parts in kernels]
        rows.append([(first.codes, self._no_scales, first.zeros)] * self.parts)
        addresses = [[[0 if t is None else t.data_ptr() for t in part] for part in parts] for parts in rows]
        with torch.inference_mode(False):
            table = torch.tensor(addresses, dtype=torch.int64, device=first.codes.device)  # [E + 1, P, 3]
            self._table = table.permute(2, 0, 1).contiguous()
            orders = [parts[0].order for parts in kernels]
            self._orders = torch.stack([*orders, orders[0]]).long() if orders[0] is not None else None  # type: ignore[list-item]

    def __call__(self, x: torch.Tensor, rows: ExpertRows, is_sorted: bool) -> torch.Tensor:
        """x [tokens, K], or [S, K] as sorted, fp16 or bf16, to [S, P, N] as sorted, in x's dtype."""
        kernel = self.kernel
        codes, scales, _, outputs, blocks, groups, per_group, _ = kernel.weight_args()
        x = x.contiguous()
        if self._orders is not None:
            x = x if is_sorted else x[rows.token]
            is_sorted = True
            x = x.gather(1, self._orders[rows.chosen.clamp(max=self.experts)])
        y = torch.empty(len(rows.token), self.parts, outputs, dtype=x.dtype, device=x.device)
        warps = 4 if len(rows.token) == len(rows.expert) and blocks >= _LONG_INPUT else 2
        tiles = len(codes)
        with device_guard(x.device):
            expert_gemm_kernel[(len(rows.expert), tiles * self.parts)](
                x, y, rows.expert, rows.first, rows.end, rows.token, *self._table, self.experts, outputs, blocks, groups,
                per_group, tiles,
                SCALES=TRITON_TYPES[scales.dtype], PARTS=self.parts, HAS_ZEROS=kernel.zeros is not None,
                HAS_SOURCES=not is_sorted, SUBTILES=rows.subtiles, WARPS=warps, UNROLL=kernel.fitting_unroll(_UNROLL),
                USE_MMA=kernel.layout == MMA, num_warps=warps,
            )  # fmt: skip
        return y


@triton.jit
def expert_gemm_kernel(
    x, y, experts_of, firsts, ends, sources, codes_at, scales_at, zeros_at, experts, outputs, blocks, groups, blocks_per_group,
    tiles, SCALES: tl.constexpr, PARTS: tl.constexpr, HAS_ZEROS: tl.constexpr, HAS_SOURCES: tl.constexpr,
    SUBTILES: tl.constexpr, WARPS: tl.constexpr, UNROLL: tl.constexpr, USE_MMA: tl.constexpr,
):  # fmt: skip
    """y [S, PARTS, N]: a program for a block of rows and a tile of one part. codes_at, scales_at and zeros_at int64
    [experts + 1, PARTS] are addresses. See ExpertRows for the rest.
    """
    block = tl.program_id(0)
    part, tile = tl.program_id(1) // tiles, tl.program_id(1) % tiles
    first, end = tl.load(firsts + block).to(tl.int32), tl.load(ends + block).to(tl.int32)
    if first < end:
        at = tl.minimum(tl.load(experts_of + block), experts) * PARTS + part
        codes = tl.multiple_of(tl.load(codes_at + at).to(tl.pointer_type(tl.int32)), 16)
        scales = tl.multiple_of(tl.load(scales_at + at).to(tl.pointer_type(SCALES)), 16)
        zeros = tl.multiple_of(tl.load(zeros_at + at).to(tl.pointer_type(tl.uint8)), 16)
        gemm_mma(
            x, y + part * outputs, PARTS * outputs, x, codes, codes, scales, zeros, sources, outputs, blocks, groups,
            blocks_per_group, tiles, first, end, tile, False, False, False, HAS_ZEROS, HAS_SOURCES, SUBTILES, WARPS,
            1, UNROLL, USE_MMA,
        )  # fmt: skip
