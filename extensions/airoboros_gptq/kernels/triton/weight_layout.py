"""How a linear's weight lies on a GPU: rows sorted by group, in one of two layouts, each in tiles of columns, so that a program
reads one stretch of memory. Columns are padded to whole tiles with scales of zero.

- words, for any width and group: a word holds 32 / bits codes of one column, lowest bits first, as in the file.
- blocks, for 4 bits and groups that are multiples of 32: as tensor cores read them (gemv_mma.py).

Codes of 3 bits are stored in 4, shifted to be centred on 8 as those are, and their zeros too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ...checkpoint.linear_spec import LinearSpec
from ..packing import PackedLinear, narrow_scales, row_order, unpack, unpack_zeros
from ..rules import TRITON

# The layouts, by the numbers that kernels are told: words; blocks, multiplied code by code; blocks, on tensor cores.
LAYOUTS = (0, 1, 2)
WORDS, MMA_EMULATED, MMA = LAYOUTS
WORD_TILE = 4  # columns of a tile of words: what a thread reads at once
BLOCK_ROWS, BLOCK_COLUMNS = 32, 32  # of a block; a tile of blocks has BLOCK_COLUMNS columns
COLUMN_MULTIPLE = 32  # what columns are padded to a multiple of, in either layout


class TiledWeight(NamedTuple):
    """K in_features, T tiles for N out_features, P = 32 / bits codes in a word, G groups.

    codes int32, scales fp16 or fp32, zeros uint8 or None where each is the middle of the codes' range: as words [T, K / P, 4],
    [T, G, 4] and [T, G, 4]; as blocks [T, K / 32, 32 lanes, 4] and [T, G, 8, 4]. order int32 [K] or None: the input feature of
    each row.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    order: torch.Tensor | None


def fits_blocks(spec: LinearSpec) -> bool:
    """Whether a linear can be laid out in blocks."""
    return (
        TRITON.stored_bits(spec.bits) == 4 and spec.group_size % BLOCK_ROWS == 0 and spec.in_features % BLOCK_ROWS == 0
    )


def repack(packed: PackedLinear, spec: LinearSpec, layout: int) -> TiledWeight:
    """The tensors of a file in `layout`, on the device of `packed`. K is a multiple of P, and of BLOCK_ROWS for blocks."""
    bits = TRITON.stored_bits(spec.bits)
    shift = 2 ** (bits - 1) - 2 ** (spec.bits - 1)
    order = row_order(packed, spec)
    if layout == WORDS and order is None and bits == spec.bits:
        words = packed.qweight
    else:
        codes = unpack(packed.qweight, spec.bits)
        codes = (codes if order is None else codes[order]) + shift
        words = _pack_words(codes, bits) if layout == WORDS else _pack_blocks(codes)
    zeros = unpack_zeros(packed.qzeros, spec.bits, spec.checkpoint_format) + shift
    is_symmetric = bool((zeros == 2 ** (bits - 1)).all())
    tile_groups = _tile_words if layout == WORDS else _tile_block_groups
    return TiledWeight(
        _tile_words(words) if layout == WORDS else words,
        tile_groups(narrow_scales(packed.scales)),
        None if is_symmetric else tile_groups(zeros.to(torch.uint8)),
        None if order is None else order.int(),
    )


def _pack_words(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """uint8 [K, N] to int32 [K / P, N]."""
    per_word = 32 // bits
    words = torch.zeros(len(codes) // per_word, codes.shape[1], dtype=torch.int32, device=codes.device)
    for i in range(per_word):
        words |= codes[i::per_word].int() << (bits * i)
    return words


def _pack_blocks(codes: torch.Tensor) -> torch.Tensor:
    """uint8 [K, N] to int32 [T, K / 32, 32, 4]: word i of lane 4 * g + t has rows 8 * t to 8 * t + 7 of column g + 8 * i."""
    codes = _pad_columns(codes)
    rows, columns = codes.shape
    blocks, tiles = rows // BLOCK_ROWS, columns // BLOCK_COLUMNS
    codes = codes.view(blocks, 4, 8, tiles, 4, 8).permute(2, 3, 0, 5, 1, 4)  # row of eight, tile, block, g, t, i
    words = torch.zeros(codes.shape[1:], dtype=torch.int32, device=codes.device)
    for r in range(8):
        words |= codes[r].int() << (4 * (r // 2) + 16 * (r % 2))
    return words.view(tiles, blocks, 32, 4)


def _tile_words(matrix: torch.Tensor) -> torch.Tensor:
    """[R, N] to [T, R, WORD_TILE]."""
    return _pad_columns(matrix).view(len(matrix), -1, WORD_TILE).transpose(0, 1).contiguous()


def _tile_block_groups(matrix: torch.Tensor) -> torch.Tensor:
    """[G, N] to [T, G, 8, 4]: columns g, g + 8, g + 16 and g + 24 side by side."""
    return _pad_columns(matrix).view(len(matrix), -1, 4, 8).permute(1, 0, 3, 2).contiguous()


def _pad_columns(matrix: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(matrix, (0, -matrix.shape[1] % COLUMN_MULTIPLE))
