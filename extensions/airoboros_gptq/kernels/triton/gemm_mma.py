"""x @ w for a few rows and 4-bit codes in blocks, on tensor cores: each code is read once for up to 32 rows.

The layout of the weight, and the way in which codes become floats, are those of gemv_mma.py. The second operand of
mma.m16n8k16 has eight columns, which are eight rows of x here, a subtile; a lane reads the 8 activations of its row that belong
to its codes as one vector, since the order of rows within a block is free.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .gemv_mma import load_block, load_group

# By dtype: its PTX name, the bits of 2**m with room for a code below, and those of 1.0, both twice.
_FORMATS = {'bf16': ('0x43004300', '0x3f803f80'), 'f16': ('0x64006400', '0x3c003c00')}


def _dequantize_ptx(dtype: str) -> str:
    """PTX that makes four registers of codes 16 registers of pairs, code - zero: ${4 * pair + word}."""
    exponent, one = _FORMATS[dtype]
    lines = [f'{{\n.reg .b32 t, u, ones;\nmov.b32 ones, {one};']
    for word in range(4):
        q, minus_zero = f'${16 + word}', f'${20 + word}'
        for pair in range(4):
            source = q
            if pair:
                lines.append(f'shr.u32 t, {q}, {4 * pair};')
                source = 't'
            lines.append(f'lop3.b32 u, {source}, 0x000f000f, {exponent}, 0xea;')  # (source & mask) | exponent
            lines.append(f'fma.rn.{dtype}x2 ${4 * pair + word}, u, ones, {minus_zero};')
    return '\n'.join([*lines, '}'])


def _multiply_ptx(dtype: str) -> str:
    """PTX that adds the products of the 16 registers with eight rows of x to $0-$3, columns g and g + 8, and $4-$7."""
    lines = []
    for d, first in ((0, 0), (4, 2)):
        into = ', '.join(f'${d + i}' for i in range(4))
        for half in range(2):
            codes = ', '.join(f'${8 + 4 * (2 * half + pair) + first + word}' for pair in range(2) for word in range(2))
            x = f'${24 + 2 * half}, ${25 + 2 * half}'
            add = into if half else ', '.join(f'${28 + d + i}' for i in range(4))
            lines.append(
                f'mma.sync.aligned.m16n8k16.row.col.f32.{dtype}.{dtype}.f32 {{{into}}}, {{{codes}}}, {{{x}}}, {{{add}}};'
            )
    return '\n'.join(lines)


_DEQUANTIZE_F16, _DEQUANTIZE_BF16 = (tl.constexpr(_dequantize_ptx(dtype)) for dtype in ('f16', 'bf16'))
_DEQUANTIZE_OPERANDS = tl.constexpr(','.join(['=&r'] * 16 + ['r'] * 8))
_MULTIPLY_F16, _MULTIPLY_BF16 = (tl.constexpr(_multiply_ptx(dtype)) for dtype in ('f16', 'bf16'))
_MULTIPLY_OPERANDS = tl.constexpr(','.join(['=&f'] * 8 + ['r'] * 20 + ['f'] * 8))

_SCALE = tl.constexpr(
    '\n'.join(f'fma.rn.f32 ${i}, ${8 + i}, ${16 + i // 2}, ${20 + i};' for i in range(8))
)  # fmt: skip
_SCALE_OPERANDS = tl.constexpr(','.join(['=&f'] * 8 + ['f'] * 20))


@triton.jit(do_not_specialize=['rows'])  # or it is compiled anew in the middle of a chat
def gemm_mma_kernel(
    x, y, bias, scatter, codes, scales, zeros, outputs, blocks, groups, blocks_per_group, tiles, rows,
    HAS_BIAS: tl.constexpr, HAS_SCATTER: tl.constexpr, ADD: tl.constexpr, HAS_ZEROS: tl.constexpr, SUBTILES: tl.constexpr,
    WARPS: tl.constexpr, TILES: tl.constexpr, UNROLL: tl.constexpr, USE_MMA: tl.constexpr,
):  # fmt: skip
    """y [M, N] = x [M, K] @ w + bias, or y += that; M is `rows`, all row-major, fp16 or bf16.

    A program has 8 * SUBTILES rows (1, 2 or 4 subtiles) and TILES of the `tiles` tiles of 32 columns. Output n is column
    scatter[n] of y.
    """
    first_row, first_tile = tl.program_id(0) * (8 * SUBTILES), tl.program_id(1) * TILES
    gemm_mma(
        x, y, outputs, bias, scatter, codes, scales, zeros, codes, outputs, blocks, groups, blocks_per_group, tiles,
        first_row, rows, first_tile, HAS_BIAS, HAS_SCATTER, ADD, HAS_ZEROS, False, SUBTILES, WARPS, TILES, UNROLL, USE_MMA,
    )  # fmt: skip


@triton.jit
def gemm_mma(
    x, y, y_stride, bias, scatter, codes, scales, zeros, sources, outputs, blocks, groups, blocks_per_group, tiles,
    first_row, rows, first_tile, HAS_BIAS: tl.constexpr, HAS_SCATTER: tl.constexpr, ADD: tl.constexpr,
    HAS_ZEROS: tl.constexpr, HAS_SOURCES: tl.constexpr, SUBTILES: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr,
    UNROLL: tl.constexpr, USE_MMA: tl.constexpr,
):  # fmt: skip
    """What one program computes: 8 * SUBTILES rows from first_row on, and before `rows`, of TILES tiles from first_tile on. Row r
    of y is made of row sources[r] of x where HAS_SOURCES, else of row r.

    Its warps share out the blocks of each tile, UNROLL at a time, as in gemv_mma(). Without USE_MMA it computes the same, code by
    code.
    """
    thread = tl.arange(0, 32 * WARPS)
    TILE_WARPS: tl.constexpr = WARPS // TILES
    warp = thread // 32 % TILE_WARPS
    g, t = thread % 32 // 4, thread % 4
    tile = tl.minimum(first_tile + thread // 32 // TILE_WARPS, tiles - 1)
    i = tl.arange(0, 4)
    codes += (tile.to(tl.int64) * blocks * 128 + thread % 32 * 4)[:, None] + i[None, :]
    scales += (tile * groups * 32 + g * 4)[:, None] + i[None, :]
    zeros += (tile * groups * 32 + g * 4)[:, None] + i[None, :]
    inputs = blocks * 32
    zero4 = tl.zeros([32 * WARPS, 4], tl.float32)
    lo0, hi0, lo1, hi1, lo2, hi2, lo3, hi3 = zero4, zero4, zero4, zero4, zero4, zero4, zero4, zero4
    plain = tl.zeros([32 * WARPS, 4, 1 if USE_MMA else 8 * SUBTILES], tl.float32)
    row0 = _source(sources, first_row + g, rows, HAS_SOURCES)
    row1, row2, row3 = row0, row0, row0
    if SUBTILES > 1:
        row1 = _source(sources, first_row + 8 + g, rows, HAS_SOURCES)
    if SUBTILES > 2:
        row2 = _source(sources, first_row + 16 + g, rows, HAS_SOURCES)
        row3 = _source(sources, first_row + 24 + g, rows, HAS_SOURCES)
    plain_row = _source(sources, first_row + tl.arange(0, 8 * SUBTILES), rows, HAS_SOURCES)
    block = warp * UNROLL
    scale, zero = load_group(scales, zeros, block, blocks, blocks_per_group, HAS_ZEROS)
    word0 = load_block(codes, block, blocks)
    word1, word2, word3 = word0, word0, word0
    if UNROLL > 1:
        word1 = load_block(codes, block + 1, blocks)
    if UNROLL > 2:
        word2, word3 = load_block(codes, block + 2, blocks), load_block(codes, block + 3, blocks)
    for _ in range(0, blocks, TILE_WARPS * UNROLL):
        x_block = tl.minimum(block, blocks - UNROLL)  # in bounds; scales beyond the last block are zero
        block += TILE_WARPS * UNROLL
        next_scale, next_zero = load_group(scales, zeros, block, blocks, blocks_per_group, HAS_ZEROS)
        next0 = load_block(codes, block, blocks)
        next1, next2, next3 = next0, next0, next0
        if UNROLL > 1:
            next1 = load_block(codes, block + 1, blocks)
        if UNROLL > 2:
            next2, next3 = load_block(codes, block + 2, blocks), load_block(codes, block + 3, blocks)
        if USE_MMA:
            a0, b0, a1, b1, a2, b2, a3, b3 = zero4, zero4, zero4, zero4, zero4, zero4, zero4, zero4
            for u in tl.static_range(UNROLL):
                word = word0 if u == 0 else (word1 if u == 1 else (word2 if u == 2 else word3))
                v0, v1, v2, v3 = _dequantize(word, zero, x.dtype.element_ty)
                at = x_block + u
                a0, b0 = _add_subtile(a0, b0, v0, v1, v2, v3, x, row0, inputs, at, t)
                if SUBTILES > 1:
                    a1, b1 = _add_subtile(a1, b1, v0, v1, v2, v3, x, row1, inputs, at, t)
                if SUBTILES > 2:
                    a2, b2 = _add_subtile(a2, b2, v0, v1, v2, v3, x, row2, inputs, at, t)
                    a3, b3 = _add_subtile(a3, b3, v0, v1, v2, v3, x, row3, inputs, at, t)
            lo0, hi0 = _add_scaled(lo0, hi0, a0, b0, scale)
            if SUBTILES > 1:
                lo1, hi1 = _add_scaled(lo1, hi1, a1, b1, scale)
            if SUBTILES > 2:
                lo2, hi2 = _add_scaled(lo2, hi2, a2, b2, scale)
                lo3, hi3 = _add_scaled(lo3, hi3, a3, b3, scale)
        else:
            for u in tl.static_range(UNROLL):
                word = word0 if u == 0 else (word1 if u == 1 else (word2 if u == 2 else word3))
                sums = _emulate(word, zero, x, plain_row, inputs, x_block + u, t)
                plain += sums * scale.to(tl.float32)[:, :, None]
        word0, word1, word2, word3, scale, zero = next0, next1, next2, next3, next_scale, next_zero
    if USE_MMA:
        # Element c of lane 4 * g + t: column g + 8 * (c // 2) of the tile, row 2 * t + c % 2 of the subtile.
        lane = tl.arange(0, 32)
        column = (
            ((first_tile + tl.arange(0, TILES)) * 32)[:, None, None]
            + (lane // 4)[None, :, None]
            + (i // 2 * 8)[None, None, :]
        )
        row = first_row + (lane % 4 * 2)[None, :, None] + (i % 2)[None, None, :]
        for half in tl.static_range(2):
            c = column + 16 * half
            for subtile in tl.static_range(SUBTILES):
                lo = lo0 if subtile == 0 else (lo1 if subtile == 1 else (lo2 if subtile == 2 else lo3))
                hi = hi0 if subtile == 0 else (hi1 if subtile == 1 else (hi2 if subtile == 2 else hi3))
                _store(
                    y, y_stride, bias, scatter, hi if half else lo, row + 8 * subtile, c, rows, outputs,
                    HAS_BIAS, HAS_SCATTER, ADD, TILES,
                )  # fmt: skip
    else:
        sums = tl.sum(tl.reshape(plain, [TILES * TILE_WARPS, 8, 4, 4, 8 * SUBTILES]), 2)
        n = tl.arange(0, 32)
        column = ((first_tile + tl.arange(0, TILES)) * 32)[:, None, None] + (n // 4 + n % 4 * 8)[None, :, None]
        row = first_row + tl.arange(0, 8 * SUBTILES)[None, None, :]
        sums = tl.reshape(sums, [TILES * TILE_WARPS * 32, 8 * SUBTILES])
        _store(y, y_stride, bias, scatter, sums, row, column, rows, outputs, HAS_BIAS, HAS_SCATTER, ADD, TILES)


@triton.jit
def _source(sources, row, rows, HAS_SOURCES: tl.constexpr):
    """The row of x, int64, that a row of y is made of; the last one beyond the end."""
    row = tl.minimum(row, rows - 1)
    if HAS_SOURCES:
        row = tl.load(sources + row)
    return row.to(tl.int64)


@triton.jit
def _dequantize(word, zero, dtype: tl.constexpr):
    """Codes minus zeros of four words a lane: four tensors [., 4] of pairs in `dtype`."""
    if dtype == tl.float16:
        return tl.inline_asm_elementwise(
            _DEQUANTIZE_F16, _DEQUANTIZE_OPERANDS, [word, (zero + 0xE400) * 0x10001],  # -(1024 + zero), twice
            dtype=(tl.int32, tl.int32, tl.int32, tl.int32), is_pure=True, pack=4,
        )  # fmt: skip
    else:
        return tl.inline_asm_elementwise(
            _DEQUANTIZE_BF16, _DEQUANTIZE_OPERANDS, [word, (zero + 0xC300) * 0x10001],  # -(128 + zero), twice
            dtype=(tl.int32, tl.int32, tl.int32, tl.int32), is_pure=True, pack=4,
        )  # fmt: skip


@triton.jit
def _add_subtile(lo, hi, v0, v1, v2, v3, x, row, inputs, block, t):
    """lo, hi + the products of a block with each thread's row of x."""
    pairs = x.to(tl.pointer_type(tl.int32), bitcast=True)
    at = row * (inputs // 2) + block * 16 + t * 4
    pair = tl.load(pairs + at[:, None] + tl.arange(0, 4)[None, :])
    if x.dtype.element_ty == tl.float16:
        return tl.inline_asm_elementwise(
            _MULTIPLY_F16, _MULTIPLY_OPERANDS, [v0, v1, v2, v3, pair, lo, hi],
            dtype=(tl.float32, tl.float32), is_pure=True, pack=4,
        )  # fmt: skip
    else:
        return tl.inline_asm_elementwise(
            _MULTIPLY_BF16, _MULTIPLY_OPERANDS, [v0, v1, v2, v3, pair, lo, hi],
            dtype=(tl.float32, tl.float32), is_pure=True, pack=4,
        )  # fmt: skip


@triton.jit
def _add_scaled(lo, hi, a, b, scale):
    """lo + a and hi + b, each times the scale of its column."""
    return tl.inline_asm_elementwise(
        _SCALE, _SCALE_OPERANDS, [a, b, scale.to(tl.float32), lo, hi],
        dtype=(tl.float32, tl.float32), is_pure=True, pack=4,
    )  # fmt: skip


@triton.jit
def _emulate(word, zero, x, row, inputs, block, t):
    """What _add_subtile() adds for the rows [R] of all subtiles, of a thread's own words: fp32 [., 4, R]."""
    r = tl.arange(0, 8)
    at = row[None, :, None] * inputs + (block * 32 + t * 8)[:, None, None] + r[None, None, :]
    value = tl.load(x + at).to(tl.float32)
    code = ((word[:, :, None] >> (4 * (r // 2) + 16 * (r % 2))[None, None, :]) & 15) - zero[:, :, None]
    return tl.sum(code.to(tl.float32)[:, :, None, :] * value[:, None, :, :], 3)


@triton.jit
def _store(
    y, y_stride, bias, scatter, sums, row, column, rows, outputs,
    HAS_BIAS: tl.constexpr, HAS_SCATTER: tl.constexpr, ADD: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Sums [threads, R] over the warps of a tile into y, at rows and columns [TILES, 32, R]."""
    SIZE: tl.constexpr = sums.shape[1]
    value = tl.sum(tl.reshape(sums, [TILES, sums.shape[0] // (32 * TILES), 32, SIZE]), 1)
    inside = (row < rows) & (column < outputs)
    if HAS_BIAS:
        value += tl.load(bias + column, mask=column < outputs, other=0).to(tl.float32)
    if HAS_SCATTER:
        column = tl.load(scatter + column, mask=column < outputs, other=0)
    at = row.to(tl.int64) * y_stride + column
    if ADD:
        value += tl.load(y + at, mask=inside, other=0).to(tl.float32)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=inside)
