"""x @ w for one row and 4-bit codes, on tensor cores: weights in blocks, laid out as the lanes of a warp hold them.

A block is 32 rows of 32 columns. Lane 4 * g + t of a warp holds four words, those of columns g, g + 8, g + 16 and g + 24; each
has the codes of rows 8 * t to 8 * t + 7, that of row r in bits 4 * (r // 2) + 16 * (r % 2), so that a mask leaves a pair.
That is how mma.m16n8k16 wants its first operand, but for the order of rows, which is free (PTX ISA, "Matrix Fragments").

A code with the exponent of 128 in front is 128 + code as bf16, exactly. Activations are two bf16 numbers, what is left of the
first being the second, in even and odd columns of the second operand: 16 bits of precision, and no range to run out of.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .pdl import await_inputs

_WORDS = tl.constexpr(128)  # of a block


def _dequantised(word: int) -> str:
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


def _product(d: int, first: int) -> str:
    """PTX that adds to $d.. the products of two words, columns g and g + 8 of the operand."""
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


_NAMES = ', '.join(f'v{word}{pair}' for word in range(4) for pair in range(4))
_MULTIPLY = tl.constexpr(
    '\n'.join(
        [
            f'{{\n.reg .b32 t, ones, {_NAMES};\nmov.b32 ones, 0x3f803f80;',
            *(_dequantised(word) for word in range(4)),
            _product(0, 0),
            _product(4, 2),
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
def write_split(y, at, value, inside, size):
    """y [2, size] bf16, in a buffer of fp32: values at these places, as block_sums() reads them."""
    y = y.to(tl.pointer_type(tl.bfloat16), bitcast=True)
    high = value.to(tl.bfloat16)
    tl.store(y + at, high, mask=inside)
    tl.store(y + size + at, (value - high.to(tl.float32)).to(tl.bfloat16), mask=inside)


@triton.jit
def block_sums(
    x, codes, scales, zeros, first, apart, steps, groups, steps_per_group,
    HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr, AT_ONCE: tl.constexpr, TENSOR: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    """x, as write_split() leaves it, times TILES tiles of 32 columns, `first` and others `apart`: fp32 [TILES, 8, 4], column
    g + 8 * i of a tile at [., g, i].

    `steps` is K / 32. Warps share out the rows, AT_ONCE steps at a time, which divides `steps` and steps_per_group, and ask for
    the next ones' words while they work. Without TENSOR it is the same, code by code. EARLY: as early.py says.
    """
    row = tl.arange(0, 32 * WARPS)
    SHARES: tl.constexpr = WARPS // TILES
    share = row // 32 % SHARES
    g, t = row % 32 // 4, row % 4
    tile = first + row // 32 // SHARES * apart
    i = tl.arange(0, 4)
    codes += (tile.to(tl.int64) * steps * _WORDS + row % 32 * 4)[:, None] + i[None, :]
    scales += (tile * groups * 32 + g * 4)[:, None] + i[None, :]
    zeros += (tile * groups * 32 + g * 4)[:, None] + i[None, :]
    total = tl.zeros([32 * WARPS, 4], tl.float32)
    step = share * AT_ONCE
    scale, zero = _group(scales, zeros, step, steps, steps_per_group, HAS_ZEROS)
    word0 = _words(codes, step, steps)
    word1, word2, word3 = word0, word0, word0
    if AT_ONCE > 1:
        word1 = _words(codes, step + 1, steps)
    if AT_ONCE > 2:
        word2, word3 = _words(codes, step + 2, steps), _words(codes, step + 3, steps)
    await_inputs(EARLY)
    for _ in range(0, steps, SHARES * AT_ONCE):
        at = tl.minimum(step, steps - AT_ONCE)  # inside; what is outside has scales of zero
        step += SHARES * AT_ONCE
        next_scale, next_zero = _group(scales, zeros, step, steps, steps_per_group, HAS_ZEROS)
        next0 = _words(codes, step, steps)
        next1, next2, next3 = next0, next0, next0
        if AT_ONCE > 1:
            next1 = _words(codes, step + 1, steps)
        if AT_ONCE > 2:
            next2, next3 = _words(codes, step + 2, steps), _words(codes, step + 3, steps)
        one = tl.zeros([32 * WARPS, 4], tl.float32)
        other = one
        one, other = _plus(one, other, word0, x, at, g, t, steps, zero, TENSOR)
        if AT_ONCE > 1:
            one, other = _plus(one, other, word1, x, at + 1, g, t, steps, zero, TENSOR)
        if AT_ONCE > 2:
            one, other = _plus(one, other, word2, x, at + 2, g, t, steps, zero, TENSOR)
            one, other = _plus(one, other, word3, x, at + 3, g, t, steps, zero, TENSOR)
        if TENSOR:
            total = tl.inline_asm_elementwise(
                _SCALE, _SCALE_OPERANDS, [one, other, scale.to(tl.float32), total],
                dtype=tl.float32, is_pure=True, pack=4,
            )  # fmt: skip
        else:
            total += one * scale.to(tl.float32)
        word0, word1, word2, word3, scale, zero = next0, next1, next2, next3, next_scale, next_zero
    sums = tl.sum(tl.sum(tl.reshape(total, [TILES, SHARES, 8, 4, 4]), 3), 1)
    if TENSOR:
        sums *= 0.25  # each of four lanes holds them
    return sums


@triton.jit
def _words(codes, step, steps):
    return tl.load(codes + (step * _WORDS)[:, None], mask=(step < steps)[:, None], other=0)


@triton.jit
def _group(scales, zeros, step, steps, steps_per_group, HAS_ZEROS: tl.constexpr):
    """Scales and zeros [., 4] of the group of each row's step."""
    at = (step // steps_per_group * 32)[:, None]
    inside = (step < steps)[:, None]
    scale = tl.load(scales + at, mask=inside, other=0)
    if HAS_ZEROS:  # noqa: SIM108
        zero = tl.load(zeros + at, mask=inside, other=0).to(tl.int32)
    else:
        zero = tl.full(scale.shape, 8, tl.int32)
    return scale, zero


@triton.jit
def _plus(one, other, word, x, step, g, t, steps, zero, TENSOR: tl.constexpr):
    """one, other: what lanes hold of the sums so far, and this step's products. Without TENSOR a lane adds its own words'."""
    if TENSOR:
        pairs = x.to(tl.pointer_type(tl.int32), bitcast=True)
        pair = tl.load(pairs + (g % 2 * steps * 16 + step * 16 + t * 4)[:, None] + tl.arange(0, 4)[None, :])
        return tl.inline_asm_elementwise(
            _MULTIPLY, _MULTIPLY_OPERANDS, [word, pair, one, other, (zero + 0xC300) * 0x10001],  # -(128 + zero), twice
            dtype=(tl.float32, tl.float32), is_pure=True, pack=4,
        )  # fmt: skip
    else:
        r = tl.arange(0, 8)
        split = x.to(tl.pointer_type(tl.bfloat16), bitcast=True) + (step * 32 + t * 8)[:, None] + r[None, :]
        value = tl.load(split).to(tl.float32) + tl.load(split + steps * 32).to(tl.float32)
        code = ((word[:, :, None] >> (4 * (r // 2) + 16 * (r % 2))[None, None, :]) & 15) - zero[:, :, None]
        one += tl.sum(code.to(tl.float32) * value[:, None, :], 2)
        return one, other


@triton.jit
def dequantise_blocks_kernel(
    weight, codes, scales, zeros, rows, outputs, steps, groups, steps_per_group,
    HAS_ZEROS: tl.constexpr, HAS_ROWS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """weight [N, K] as gpu.matmul.dequantise_kernel() writes it: a program for STEPS blocks of a tile."""
    tile = tl.program_id(1)
    n = tl.arange(0, STEPS * _WORDS)
    step = tl.program_id(0) * STEPS + n // _WORDS
    inside = step < steps
    word = tl.load(codes + (tile.to(tl.int64) * steps + step) * _WORDS + n % _WORDS, mask=inside, other=0)
    at = (tile * groups + step // steps_per_group) * 32 + n % _WORDS // 16 * 4 + n % 4
    scale = tl.load(scales + at, mask=inside, other=0).to(tl.float32)
    if HAS_ZEROS:  # noqa: SIM108
        zero = tl.load(zeros + at, mask=inside, other=0).to(tl.int32)
    else:
        zero = tl.full([STEPS * _WORDS], 8, tl.int32)
    r = tl.arange(0, 8)
    code = ((word[:, None] >> (4 * (r // 2) + 16 * (r % 2))[None, :]) & 15) - zero[:, None]
    value = code.to(tl.float32) * scale[:, None]
    column = tile * 32 + n % _WORDS // 16 + n % 4 * 8
    inside &= column < outputs
    target = tl.load(rows + column, mask=inside, other=0) if HAS_ROWS else column
    place = (target.to(tl.int64) * steps * 32 + step * 32 + n // 4 % 4 * 8)[:, None] + r[None, :]
    tl.store(weight + place, value.to(weight.dtype.element_ty), mask=inside[:, None])
