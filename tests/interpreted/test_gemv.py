"""gemv() as fused kernels use it: two matrices at once, and what one kernel writes for the next to read."""

import pytest
import torch
import triton
import triton.language as tl
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.packing import dequantize
from airoboros_gptq.kernels.triton.gemv import arrange_input_kernel, gemv, output_columns
from airoboros_gptq.kernels.triton.kernel import TritonKernel
from airoboros_gptq.kernels.triton.weight_layout import LAYOUTS, MMA_EMULATED, WORDS
from random_linears import random_packed

K, N = 256, 64


@triton.jit
def _gate_and_up_kernel(
    x, gate, up, codes, scales, zeros, outputs, units, groups, units_per_group, one_bits,
    LAYOUT: tl.constexpr, BITS: tl.constexpr, HAS_ZEROS: tl.constexpr, WARPS: tl.constexpr, TILES: tl.constexpr,
    PREFETCH: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    sums = gemv(
        x, codes, scales, zeros, program, tl.num_programs(0), units, groups, units_per_group, one_bits,
        2, LAYOUT, BITS, HAS_ZEROS, WARPS, TILES, PREFETCH, False,
    )  # fmt: skip
    column = output_columns(program, 2, LAYOUT, TILES)
    first, second = tl.split(tl.permute(sums, (1, 0)))
    tl.store(gate + column, first, mask=column < outputs)
    tl.store(up + column, second, mask=column < outputs)


def arranged(x, kernel):
    """x [1, K] as gemv() of `kernel` reads it."""
    y = torch.empty(1, K)
    arrange_input_kernel[(1, 1)](
        x, x, y, K, kernel.input_size, HAS_ORDER=False, READER_LAYOUT=kernel.layout, READER_BITS=kernel.bits, BLOCK=256
    )
    return y


@pytest.mark.parametrize('layout', [WORDS, MMA_EMULATED])
@pytest.mark.parametrize('sym', [True, False])
def test_two_matrices_at_once(layout, sym):
    spec = LinearSpec(K, N, 4, 64, False)
    packed = [random_packed(spec, sym, seed=seed) for seed in (1, 2)]
    kernels = [TritonKernel(one, spec, layout=layout) for one in packed]
    joined = [None if kernels[0].zeros is None and name == 'zeros' else torch.cat([getattr(k, name) for k in kernels])
              for name in ('codes', 'scales', 'zeros')]  # fmt: skip
    x, gate, up = torch.randn(1, K), torch.empty(N), torch.empty(N)
    tiles, warps, prefetch = (2, 4, 1) if layout == WORDS else (2, 4, 2)
    grid = (kernels[0].programs(tiles, joined[0]),)
    settings = kernels[0].launch_settings(tiles, warps, prefetch)
    _gate_and_up_kernel[grid](arranged(x, kernels[0]), gate, up, *kernels[0].weight_args(tuple(joined), N), **settings)
    for found, one in ((gate, packed[0]), (up, packed[1])):
        expected = (x.double() @ dequantize(one, spec, torch.float64))[0]
        assert torch.dist(found.double(), expected) < 2e-5 * expected.norm()


def test_a_reader_that_is_no_quantised_linear_gets_the_input_as_it_is():
    x, y = torch.randn(1, K), torch.empty(1, K)
    arrange_input_kernel[(1, 1)](x, x, y, K, K, HAS_ORDER=False, READER_LAYOUT=WORDS, READER_BITS=0, BLOCK=256)
    assert y.equal(x)


@pytest.mark.parametrize('bits', [2, 4, 8])
def test_the_arranged_input_of_words_is_scaled_exactly(bits):
    """Feature k of the P in a word is at k % P * words + k // P, times 4**bits where k is even, 2**bits where it is odd."""
    spec = LinearSpec(K, N, bits, 64, False)
    kernel = TritonKernel(random_packed(spec), spec, layout=WORDS)
    x, per_word = torch.randn(1, K), 32 // bits
    found = arranged(x, kernel).view(per_word, K // per_word).t().reshape(1, K)
    assert found.equal(x * torch.tensor([4.0**bits, 2.0**bits]).repeat(K // 2))


def test_the_arranged_input_of_blocks_is_two_bf16_numbers():
    spec = LinearSpec(K, N, 4, 64, False)
    kernel = TritonKernel(random_packed(spec), spec, layout=MMA_EMULATED)
    x = torch.randn(1, K)
    high, low = arranged(x, kernel).view(torch.bfloat16).view(2, K).float()
    assert (high - x[0]).abs().le(2**-7 * x[0].abs()).all()  # the interpreter cuts off where a GPU rounds
    assert (high + low - x[0]).abs().le(2**-14 * x[0].abs()).all()


def test_layouts_are_what_kernels_are_told():
    assert LAYOUTS == (0, 1, 2)
