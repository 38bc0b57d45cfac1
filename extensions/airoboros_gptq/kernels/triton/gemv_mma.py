"""x @ w for one row and 4-bit codes, on tensor cores: weights in blocks, laid out as the lanes of a warp hold them.

A block is 32 rows of 32 columns. Lane 4 * g + t of a warp holds four words, those of columns g, g + 8, g + 16 and g + 24; each
has the codes of rows 8 * t to 8 * t + 7, that of row r in bits 4 * (r // 2) + 16 * (r % 2), so that a mask leaves a pair.
mma.m16n8k16 wants its first operand so, but for the order of rows, which is free (PTX ISA, "Matrix Fragments for mma.m16n8k16").

A code with the exponent of 128 in front is 128 + code in bf16, exactly. An activation is two bf16 numbers, the second being the
remainder of the first, in even and odd columns of the second operand: 16 bits of precision, and the range of fp32.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .pdl import grid_dependency_wait

_BLOCK_WORDS = tl.constexpr(128)


def _dequantize_ptx(word: int) -> str:
    """PTX that makes a register of codes four pairs of bf16, code - zero: v{word}0 to v{word}3."""
    q, minus_zero = f'${8 + word}', f'${24 + word}'
    lines = []
    for pair in range(4):
        source = q
        if pair:
            lines.append(f'shr.u32 t, {q}, {4 * pair};')
            source = 't'
        name = f'v{word}{pair}'
        lines.append(f'lop3.b32 {name}, {source}, 0x000f000f, 0x43004300, 0xea;')  # (source & mask) | 128
        lines.append(f'fma.rn.bf16x2 {name}, {name}, ones, {minus_zero};')
    return '\n'.join(lines)


def _mma_ptx(d: int, first: int) -> str:
    """PTX that adds to $d to $d+3 the products of two words, columns g and g + 8 of the operand."""
    into = ', '.join(f'${d + i}' for i in range(4))
    lines = []
    for half in range(2):
        add = ', '.join(f'${16 + d + i}' for i in range(4)) if half == 0 else into
        v = [f'v{first + column}{2 * half + pair}' for pair in range(2) for column in range(2)]
        x = f'${12 + 2 * half}, ${13 + 2 * half}'
        lines.append(
            f'mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {{{into}}}, {{{", ".join(v)}}}, {{{x}}}, {{{add}}};'
        )
    return '\n'.join(lines)


_REGISTERS = ', '.join(f'v{word}{pair}' for word in range(4) for pair in range(4))
_MULTIPLY = tl.constexpr(
    '\n'.join(
        [
            f'{{\n.reg .b32 t, ones, {_REGISTERS};\nmov.b32 ones, 0x3f803f80;',
            *(_dequantize_ptx(word) for word in range(4)),
            _mma_ptx(0, 0),
            _mma_ptx(4, 2),
            '}',
        ]
    )
)
_MULTIPLY_OPERANDS = tl.constexpr(','.join(['=&f'] * 8 + ['r'] * 8 + ['f'] * 8 + ['r'] * 4))
_SCALE = tl.constexpr(
    '{\n.reg .f32 t;\n'
    + '\n'.join(f'add.f32 t, ${4 + 2 * i}, ${5 + 2 * i};\nfma.rn.f32 ${i}, t, ${12 + i}, ${16 + i};' for i in range(4))
    + '\n}'
)
_SCALE_OPERANDS = tl.constexpr(','.join(['=&f'] * 4 + ['f'] * 16))


@triton.jit
def store_split(y, at, value, mask, size):
    """Values into y [2, size] of bf16, in a buffer of fp32, as gemv_mma() reads them: rounded to bf16, and the remainders."""
    y = y.to(tl.pointer_type(tl.bfloat16), bitcast=True)
    high = value.to(tl.bfloat16)
    tl.store(y + at, high, mask=mask)
    tl.store(y + size + at, (value - high.to(tl.float32)).to(tl.bfloat16), mask=mask)


@triton.jit
def gemv_mma(
    x, codes, scales, zeros, first_tile, tile_stride, blocks, groups, blocks_per_group,
    HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr, UNROLL: tl.constexpr, USE_MMA: tl.constexpr,
    USE_PDL: tl.constexpr,
):  # fmt: skip
    """x, as store_split() stores it, times TILES tiles of 32 columns, first_tile and those tile_stride apart: fp32 [TILES, 8, 4],
    column g + 8 * i of a tile at [., g, i].

    `blocks` is K / 32. Warps share out the blocks, UNROLL at a time, which divides `blocks` and blocks_per_group, and load the
    next ones while they work. Without USE_MMA it computes the same, code by code. USE_PDL: see pdl.py.
    """
    thread = tl.arange(0, 32 * WARPS)
    TILE_WARPS: tl.constexpr = WARPS // TILES
    warp = thread // 32 % TILE_WARPS
    g, t = thread % 32 // 4, thread % 4
    tile = first_tile + thread // 32 // TILE_WARPS * tile_stride
    i = tl.arange(0, 4)
    codes += (tile.to(tl.int64) * blocks * _BLOCK_WORDS + thread % 32 * 4)[:, None] + i[None, :]
    scales += (tile * groups * 32 + g * 4)[:, None] + i[None, :]
    zeros += (tile * groups * 32 + g * 4)[:, None] + i[None, :]
    acc = tl.zeros([32 * WARPS, 4], tl.float32)
    block = warp * UNROLL
    scale, zero = load_group(scales, zeros, block, blocks, blocks_per_group, HAS_ZEROS)
    word0 = load_block(codes, block, blocks)
    word1, word2, word3 = word0, word0, word0
    if UNROLL > 1:
        word1 = load_block(codes, block + 1, blocks)
    if UNROLL > 2:
        word2, word3 = load_block(codes, block + 2, blocks), load_block(codes, block + 3, blocks)
    grid_dependency_wait(USE_PDL)
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
        acc_lo = tl.zeros([32 * WARPS, 4], tl.float32)
        acc_hi = acc_lo
        acc_lo, acc_hi = _add_block(acc_lo, acc_hi, word0, x, x_block, g, t, blocks, zero, USE_MMA)
        if UNROLL > 1:
            acc_lo, acc_hi = _add_block(acc_lo, acc_hi, word1, x, x_block + 1, g, t, blocks, zero, USE_MMA)
        if UNROLL > 2:
            acc_lo, acc_hi = _add_block(acc_lo, acc_hi, word2, x, x_block + 2, g, t, blocks, zero, USE_MMA)
            acc_lo, acc_hi = _add_block(acc_lo, acc_hi, word3, x, x_block + 3, g, t, blocks, zero, USE_MMA)
        if USE_MMA:
            acc = tl.inline_asm_elementwise(
                _SCALE, _SCALE_OPERANDS, [acc_lo, acc_hi, scale.to(tl.float32), acc],
                dtype=tl.float32, is_pure=True, pack=4,
            )  # fmt: skip
        else:
            acc += acc_lo * scale.to(tl.float32)
        word0, word1, word2, word3, scale, zero = next0, next1, next2, next3, next_scale, next_zero
    sums = tl.sum(tl.sum(tl.reshape(acc, [TILES, TILE_WARPS, 8, 4, 4]), 3), 1)
    if USE_MMA:
        sums *= 0.25  # each of four lanes has them
    return sums


@triton.jit
def load_block(codes, block, blocks):
    return tl.load(codes + (block * _BLOCK_WORDS)[:, None], mask=(block < blocks)[:, None], other=0)


@triton.jit
def load_group(scales, zeros, block, blocks, blocks_per_group, HAS_ZEROS: tl.constexpr):
    """Scales and zeros [., 4] of the group of each thread's block."""
    at = (block // blocks_per_group * 32)[:, None]
    mask = (block < blocks)[:, None]
    scale = tl.load(scales + at, mask=mask, other=0)
    if HAS_ZEROS:  # noqa: SIM108
        zero = tl.load(zeros + at, mask=mask, other=0).to(tl.int32)
    else:
        zero = tl.full(scale.shape, 8, tl.int32)
    return scale, zero


@triton.jit
def _add_block(acc_lo, acc_hi, word, x, block, g, t, blocks, zero, USE_MMA: tl.constexpr):
    """The accumulators of the mma, with even and odd columns, plus this block's products. Without USE_MMA a thread adds those
    of its own words to acc_lo.
    """
    if USE_MMA:
        pairs = x.to(tl.pointer_type(tl.int32), bitcast=True)
        pair = tl.load(pairs + (g % 2 * blocks * 16 + block * 16 + t * 4)[:, None] + tl.arange(0, 4)[None, :])
        return tl.inline_asm_elementwise(
            _MULTIPLY, _MULTIPLY_OPERANDS, [word, pair, acc_lo, acc_hi, (zero + 0xC300) * 0x10001],  # -(128 + zero), twice
            dtype=(tl.float32, tl.float32), is_pure=True, pack=4,
        )  # fmt: skip
    else:
        r = tl.arange(0, 8)
        split = x.to(tl.pointer_type(tl.bfloat16), bitcast=True) + (block * 32 + t * 8)[:, None] + r[None, :]
        value = tl.load(split).to(tl.float32) + tl.load(split + blocks * 32).to(tl.float32)
        code = ((word[:, :, None] >> (4 * (r // 2) + 16 * (r % 2))[None, None, :]) & 15) - zero[:, :, None]
        acc_lo += tl.sum(code.to(tl.float32) * value[:, None, :], 2)
        return acc_lo, acc_hi


@triton.jit
def dequantize_blocks_kernel(
    weight, codes, scales, zeros, output_scatter, outputs, blocks, groups, blocks_per_group,
    HAS_ZEROS: tl.constexpr, HAS_SCATTER: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """As dequantize_words_kernel(): a program for BLOCKS blocks of a tile."""
    tile = tl.program_id(1)
    n = tl.arange(0, BLOCKS * _BLOCK_WORDS)
    block = tl.program_id(0) * BLOCKS + n // _BLOCK_WORDS
    mask = block < blocks
    word = tl.load(codes + (tile.to(tl.int64) * blocks + block) * _BLOCK_WORDS + n % _BLOCK_WORDS, mask=mask, other=0)
    group = (tile * groups + block // blocks_per_group) * 32 + n % _BLOCK_WORDS // 16 * 4 + n % 4
    scale = tl.load(scales + group, mask=mask, other=0).to(tl.float32)
    if HAS_ZEROS:  # noqa: SIM108
        zero = tl.load(zeros + group, mask=mask, other=0).to(tl.int32)
    else:
        zero = tl.full([BLOCKS * _BLOCK_WORDS], 8, tl.int32)
    r = tl.arange(0, 8)
    code = ((word[:, None] >> (4 * (r // 2) + 16 * (r % 2))[None, :]) & 15) - zero[:, None]
    value = code.to(tl.float32) * scale[:, None]
    column = tile * 32 + n % _BLOCK_WORDS // 16 + n % 4 * 8
    mask &= column < outputs
    target = tl.load(output_scatter + column, mask=mask, other=0) if HAS_SCATTER else column
    at = (target.to(tl.int64) * blocks * 32 + block * 32 + n // 4 % 4 * 8)[:, None] + r[None, :]
    tl.store(weight + at, value.to(weight.dtype.element_ty), mask=mask[:, None])
