"""How one linear lies on a GPU: its rows sorted by group, in one of two forms, each in tiles of columns, so that a program reads
one stretch of memory. Columns are filled up to whole tiles with scales of zero.

- 'words', for any width and group: a word holds 32 / bits codes of one column, lowest bits first, as the file does.
- 'blocks', for 4 bits and groups of 32 and multiples: as tensor cores read them (blocks.py).

Codes of 3 bits stand in 4, moved to lie around 8 as those do, and zeros with them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ...checkpoint.linear_spec import LinearSpec
from ..packing import PackedLinear, narrow_scales, row_order, unpack, unpack_zeros
from ..rules import TRITON

# What kernels are told: words; blocks, code by code; blocks, on tensor cores.
FORMS = (0, 1, 2)
WORDS, BLOCKS, TENSOR = FORMS
TILE = 4  # columns of a tile of words: what a thread reads at once
COLUMNS = 32  # of a tile of blocks, and what columns are filled up to a multiple of
BLOCK_ROWS = 32


class Layout(NamedTuple):
    """K in_features, T tiles for N out_features, P = 32 / bits codes to a word, G groups.

    codes int32, scales fp16 or fp32, zeros uint8 or None where all are the middle: [T, K / P, TILE] and [T, G, TILE] in words;
    [T, K / 32, 32 lanes, 4] and [T, G, 8, 4] in blocks. order int32 [K] or None: the input feature that each row belongs to.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    order: torch.Tensor | None


def fits_blocks(spec: LinearSpec) -> bool:
    """Whether a linear can lie in blocks."""
    return (
        TRITON.stored_bits(spec.bits) == 4 and spec.group_size % BLOCK_ROWS == 0 and spec.in_features % BLOCK_ROWS == 0
    )


def make_layout(packed: PackedLinear, spec: LinearSpec, form: int) -> Layout:
    """The linear of a file, on the device where `packed` lies. K is a multiple of P, and of BLOCK_ROWS for blocks."""
    bits = TRITON.stored_bits(spec.bits)
    moved = 2 ** (bits - 1) - 2 ** (spec.bits - 1)
    order = row_order(packed, spec)
    if form == WORDS and order is None and bits == spec.bits:
        codes = packed.qweight
    else:
        codes = unpack(packed.qweight, spec.bits)
        codes = (codes if order is None else codes[order]) + moved
    zeros = unpack_zeros(packed.qzeros, spec.bits, spec.checkpoint_format) + moved
    middle = bool((zeros == 2 ** (bits - 1)).all())
    by_group = _tiled if form == WORDS else _of_lanes
    if form == WORDS and codes is not packed.qweight:
        codes = _pack(codes, bits)
    return Layout(
        _tiled(codes) if form == WORDS else _blocked(codes),
        by_group(narrow_scales(packed.scales)),
        None if middle else by_group(zeros.to(torch.uint8)),
        None if order is None else order.int(),
    )


def _pack(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """uint8 [K, N] to int32 [K / P, N]."""
    per_word = 32 // bits
    words = torch.zeros(len(codes) // per_word, codes.shape[1], dtype=torch.int32, device=codes.device)
    for i in range(per_word):
        words |= codes[i::per_word].int() << (bits * i)
    return words


def _filled_up(matrix: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(matrix, (0, -matrix.shape[1] % COLUMNS))


def _tiled(matrix: torch.Tensor) -> torch.Tensor:
    """[R, N] to [T, R, TILE]."""
    return _filled_up(matrix).view(len(matrix), -1, TILE).transpose(0, 1).contiguous()


def _of_lanes(matrix: torch.Tensor) -> torch.Tensor:
    """[G, N] to [T, G, 8, 4]: columns g, g + 8, g + 16 and g + 24 side by side."""
    return _filled_up(matrix).view(len(matrix), -1, 4, 8).permute(1, 0, 3, 2).contiguous()


def _blocked(codes: torch.Tensor) -> torch.Tensor:
    """uint8 [K, N] to int32 [T, K / 32, 32, 4], a word for rows 8 * t to 8 * t + 7 of column g + 8 * i at lane 4 * g + t."""
    codes = _filled_up(codes)
    rows, columns = codes.shape
    steps, tiles = rows // BLOCK_ROWS, columns // COLUMNS
    codes = codes.view(steps, 4, 8, tiles, 4, 8).permute(2, 3, 0, 5, 1, 4)  # r, tile, step, g, t, i
    words = torch.zeros(codes.shape[1:], dtype=torch.int32, device=codes.device)
    for r in range(8):
        words |= codes[r].int() << (4 * (r // 2) + 16 * (r % 2))
    return words.view(tiles, steps, 32, 4)
