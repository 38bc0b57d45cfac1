"""Weights as the GPU's kernels read them, against the formula, without Triton."""

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.packing import dequantize, unpack, unpack_zeros
from airoboros_gptq.kernels.triton.weight_layout import BLOCK_ROWS, MMA, WORDS, fits_blocks, repack
from random_linears import random_packed


def codes_of_words(weight, bits):
    """uint8 [K, padded N] of a TiledWeight in words."""
    tiles, words, columns = weight.codes.shape
    return unpack(weight.codes.transpose(0, 1).reshape(words, tiles * columns).contiguous(), bits)


def codes_of_blocks(weight):
    """[K, padded N] of a TiledWeight in blocks, one lane at a time."""
    tiles, blocks = weight.codes.shape[:2]
    codes = torch.empty(blocks * 32, tiles * 32, dtype=torch.int64)
    for lane in range(32):
        g, t = divmod(lane, 4)
        for i in range(4):
            for r in range(8):
                rows = torch.arange(blocks) * 32 + 8 * t + r
                columns = torch.arange(tiles) * 32 + g + 8 * i
                shift = 4 * (r // 2) + 16 * (r % 2)
                codes[rows[:, None], columns] = (weight.codes[:, :, lane, i].t().long() >> shift) & 15
    return codes


def per_column(tensor):
    """[G, padded N] of scales or zeros, from [T, G, 4] of words or [T, G, 8, 4] of blocks."""
    if tensor.dim() == 4:
        tensor = tensor.transpose(2, 3)
    return tensor.reshape(*tensor.shape[:2], -1).transpose(0, 1).reshape(tensor.shape[1], -1)


@pytest.mark.parametrize('layout', [WORDS, MMA])
@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('desc_act', [False, True])
@pytest.mark.parametrize('sym', [False, True])
def test_it_holds_the_weight(layout, bits, desc_act, sym):
    spec = LinearSpec(192, 96, bits, 64, desc_act)
    if layout == MMA and not fits_blocks(spec):
        pytest.skip('blocks are for 3 and 4 bits')
    packed = random_packed(spec, sym)
    weight = repack(packed, spec, layout)
    stored = 4 if bits == 3 else bits
    codes = codes_of_words(weight, stored) if layout == WORDS else codes_of_blocks(weight)
    zeros = torch.full((3, 96), 2 ** (stored - 1)) if sym else per_column(weight.zeros)
    assert (weight.zeros is None) == sym and (weight.order is None) != desc_act
    group = torch.arange(192) // 64
    found = per_column(weight.scales).double()[group] * (codes.double() - zeros.double()[group])
    expected = dequantize(packed, spec, torch.float64)
    assert found.allclose(expected[weight.order.long()] if desc_act else expected, rtol=1e-12)


@pytest.mark.parametrize('layout', [WORDS, MMA])
def test_columns_are_padded_with_scales_of_zero(layout):
    spec = LinearSpec(128, 40, 4, 64, False)
    wide = random_packed(LinearSpec(128, 64, 4, 64, False))
    packed = type(wide)(wide.qweight[:, :40].contiguous(), wide.qzeros[:, :5].contiguous(), wide.scales[:, :40])
    weight = repack(packed, spec, layout)
    assert per_column(weight.scales).shape == (2, 64) and not per_column(weight.scales)[:, 40:].any()


def test_a_file_in_order_is_tiled_as_it_is_packed():
    spec = LinearSpec(128, 64, 4, 64, False)
    packed = random_packed(spec)
    assert repack(packed, spec, WORDS).codes.transpose(0, 1).reshape(16, 64).equal(packed.qweight)


def test_three_bits_are_centred_on_eight():
    spec = LinearSpec(96, 32, 3, 32, False)
    packed = random_packed(spec, sym=False)
    weight = repack(packed, spec, WORDS)
    assert codes_of_words(weight, 4).equal(unpack(packed.qweight, 3) + 4)
    assert per_column(weight.zeros).int().equal(unpack_zeros(packed.qzeros, 3, 'gptq') + 4)


@pytest.mark.parametrize(
    ('spec', 'fits'),
    [
        (LinearSpec(128, 32, 4, 32, False), True),
        (LinearSpec(128, 32, 3, 64, True), True),
        (LinearSpec(128, 32, 2, 32, False), False),
        (LinearSpec(128, 32, 8, 32, False), False),
        (LinearSpec(128, 32, 4, 16, False), False),
        (LinearSpec(1000, 32, 4, 128, False), False),  # a last group of 104 rows
    ],
)
def test_what_fits_in_blocks(spec, fits):
    assert fits_blocks(spec) is fits and BLOCK_ROWS == 32
