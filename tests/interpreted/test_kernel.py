"""TritonKernel against the reference's formula, on fresh random tensors."""

import random

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.packing import dequantize
from airoboros_gptq.kernels.registry import select_kernel
from airoboros_gptq.kernels.triton import weight_layout
from airoboros_gptq.kernels.triton.kernel import MAX_GEMV_ROWS, TritonKernel
from random_linears import deviation, random_packed, rows

CPU = torch.device('cpu')
TOLERANCE = {2: 1e-5, 3: 2e-5, 4: 2e-5, 8: 3e-4}
DTYPES = {torch.float32: 0, torch.float16: 2e-3, torch.bfloat16: 1e-2}


@pytest.fixture(params=['blocks', 'words'])
def layout_of_four_bits(request, monkeypatch):
    """Either layout of 4-bit codes; other widths are laid out in words anyway."""
    if request.param == 'words':
        monkeypatch.setattr(weight_layout, 'fits_blocks', lambda spec: False)
    return request.param


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('desc_act', [False, True])
@pytest.mark.parametrize('sym', [True, False])
@pytest.mark.parametrize('checkpoint_format', ['gptq', 'gptq_v2'])
def test_widths_orders_and_zeros(bits, desc_act, sym, checkpoint_format):
    spec = LinearSpec(384, 96, bits, 64, desc_act, checkpoint_format)
    packed = random_packed(spec, sym, seed=random.randrange(10**6))
    for count in (1, 3, MAX_GEMV_ROWS + 5):
        assert deviation('triton', spec, packed, rows(spec, count)) < TOLERANCE[bits]


@pytest.mark.parametrize(
    ('k', 'n', 'group_size'),
    [
        (128, 32, 32),
        (1024, 40, 1024),  # columns that do not fill a tile, one group for all
        (1376, 64, 32),  # rows that do not fill a program's block
        (2048, 8, 128),
        (1000, 32, 128),  # a last group that is shorter
        (1056, 32, 128),  # also in blocks
        (4096, 32, 16),
    ],
)
@pytest.mark.parametrize('dtype', list(DTYPES))
def test_shapes_and_dtypes(k, n, group_size, dtype, layout_of_four_bits):
    spec = LinearSpec(k, n, 4, group_size, False)
    packed = random_packed(LinearSpec(k, -(-n // 32) * 32, 4, group_size, False), seed=random.randrange(10**6))
    packed = type(packed)(
        packed.qweight[:, :n].contiguous(), packed.qzeros[:, : n // 8].contiguous(), packed.scales[:, :n].contiguous()
    )
    bias = torch.randn(n)
    for count in (1, MAX_GEMV_ROWS + 1):
        found = deviation('triton', spec, packed, rows(spec, count, dtype=dtype), bias.to(dtype))
        assert found < TOLERANCE[4] + DTYPES[dtype]


def test_fp32_scales_that_fp16_cannot_hold_stay():
    spec = LinearSpec(256, 32, 4, 64, False)
    packed = random_packed(spec, half=False)
    assert TritonKernel(packed, spec).scales.dtype == torch.float32
    assert deviation('triton', spec, packed, rows(spec, 2)) < TOLERANCE[4]


@pytest.mark.parametrize('scattered', [False, True])
def test_the_dequantized_weight_is_the_references(scattered, layout_of_four_bits):
    spec = LinearSpec(256, 64, 4, 32, True)
    packed = random_packed(spec, sym=False)
    kernel = TritonKernel(packed, spec)
    rows = torch.randperm(64) if scattered else torch.arange(64)
    found = torch.empty(64, 256)
    found[:, kernel.order.long()] = kernel.dequantize(torch.float32, output_scatter=rows.int())[rows]
    assert torch.allclose(found.t(), dequantize(packed, spec), rtol=1e-6, atol=1e-7)


def test_a_row_does_not_depend_on_those_beside_it(layout_of_four_bits):
    spec = LinearSpec(512, 64, 4, 128, False)
    kernel = TritonKernel(random_packed(spec), spec)
    x = rows(spec, 4)
    assert kernel(x)[2:3].equal(kernel(x[2:3]))


def test_auto_leaves_the_interpreter_to_tests():
    assert select_kernel('auto', LinearSpec(512, 64, 4, 128, False), CPU).name != 'triton'
