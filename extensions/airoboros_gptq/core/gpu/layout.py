"""How the codes of one linear lie on a GPU: in tiles of columns, so that a program reads one stretch of memory.

Rows are sorted by group. A word holds 32 / bits codes of one column, lowest bits first, as the file does; codes of 3 bits
stand in 4, moved to lie around 8 as those do, and zeros with them. Columns are filled up to whole tiles with scales of zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..kernel_rules import stored_bits
from ..linear_spec import LinearSpec
from ..quantization import PackedLinear, group_index, unpack, unpack_zeros

TILE = 4  # columns: what a thread reads at once
COLUMNS = 32  # that columns are filled up to a multiple of: some tiles for a program


class Layout(NamedTuple):
    """K in_features, T tiles for N out_features, P = 32 / bits codes to a word, G groups.

    codes int32 [T, K / P, TILE], scales fp16 or fp32 [T, G, TILE], zeros uint8 [T, G, TILE] or None where all are the middle,
    order int32 [K] or None: the input feature that each row belongs to.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    order: torch.Tensor | None


def make_layout(packed: PackedLinear, spec: LinearSpec) -> Layout:
    """The linear of a file, on the device where `packed` lies. K is a multiple of P."""
    bits, device = stored_bits(spec.bits), packed.qweight.device
    moved = 2 ** (bits - 1) - 2 ** (spec.bits - 1)
    codes, order = packed.qweight, None
    if spec.desc_act:
        order = torch.argsort(group_index(spec, packed.g_idx, device), stable=True)
    if order is not None or bits != spec.bits:
        codes = unpack(packed.qweight, spec.bits)
        codes = _pack((codes if order is None else codes[order]) + moved, bits)
    zeros = unpack_zeros(packed.qzeros, spec.bits, spec.checkpoint_format) + moved
    middle = bool((zeros == 2 ** (bits - 1)).all())
    scales = packed.scales
    halves = scales.half()
    if scales.dtype == torch.float16 or torch.equal(halves.to(scales.dtype), scales):
        scales = halves
    return Layout(
        _tiled(codes),
        _tiled(scales if scales.dtype == torch.float16 else scales.float()),
        None if middle else _tiled(zeros.to(torch.uint8)),
        None if order is None else order.int(),
    )


def _pack(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """uint8 [K, N] to int32 [K / P, N]."""
    per_word = 32 // bits
    words = torch.zeros(len(codes) // per_word, codes.shape[1], dtype=torch.int32, device=codes.device)
    for i in range(per_word):
        words |= codes[i::per_word].int() << (bits * i)
    return words


def _tiled(matrix: torch.Tensor) -> torch.Tensor:
    """[R, N] to [T, R, TILE], filled up with zeros."""
    rows, columns = matrix.shape
    matrix = torch.nn.functional.pad(matrix, (0, -columns % COLUMNS))
    return matrix.view(rows, -1, TILE).transpose(0, 1).contiguous()
