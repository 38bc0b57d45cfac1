"""The matmul of a few rows against the reference's formula, on fresh random tensors."""

import random

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.packing import dequantize
from airoboros_gptq.kernels.triton.kernel import MAX_GEMM_ROWS, TritonKernel
from airoboros_gptq.kernels.triton.weight_layout import WORDS
from random_linears import random_packed, rows

ROUNDING = {torch.float16: 1e-3, torch.bfloat16: 6e-3}


def distance(found, expected):
    return ((found.double() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize('count', [2, 9, 17, MAX_GEMM_ROWS])
@pytest.mark.parametrize('dtype', list(ROUNDING))
def test_rows_and_zeros(count, dtype):
    sym = random.random() < 0.5
    spec = LinearSpec(192, 96, 4, 96, random.random() < 0.5)
    packed = random_packed(spec, sym, seed=random.randrange(10**6))
    kernel, x = TritonKernel(packed, spec), rows(spec, count, dtype=dtype)
    assert kernel.has_gemm(x)
    assert distance(kernel(x), x.double() @ dequantize(packed, spec, torch.float64)) < ROUNDING[dtype]


def test_bias_scatter_and_sum():
    spec = LinearSpec(256, 64, 4, 128, False)
    packed = random_packed(spec, seed=random.randrange(10**6))
    kernel, x = TritonKernel(packed, spec), rows(spec, 5, dtype=torch.float16)
    bias, target, before = torch.randn(64), torch.randperm(64), torch.randn(5, 64).half()
    found = kernel.gemm(x, bias=bias, output_scatter=target.int(), add_to=before.clone())
    expected = before.double()
    expected[:, target] += x.double() @ dequantize(packed, spec, torch.float64) + bias.double()
    assert distance(found, expected) < ROUNDING[torch.float16]


def test_columns_that_fill_no_tile():
    spec, whole = (LinearSpec(128, n, 4, 32, False) for n in (40, 64))
    packed = random_packed(whole, seed=random.randrange(10**6))
    part = type(packed)(
        packed.qweight[:, :40].contiguous(), packed.qzeros[:, :5].contiguous(), packed.scales[:, :40].contiguous()
    )
    x = rows(spec, 3, dtype=torch.float16)
    expected = x.double() @ dequantize(part, spec, torch.float64)
    assert distance(TritonKernel(part, spec)(x), expected) < ROUNDING[torch.float16]


def test_what_it_does_not_serve():
    spec = LinearSpec(128, 64, 4, 32, False)
    packed = random_packed(spec)
    kernel = TritonKernel(packed, spec)
    assert not kernel.has_gemm(rows(spec, 1, dtype=torch.float16))  # has a kernel of its own
    assert not kernel.has_gemm(rows(spec, MAX_GEMM_ROWS + 1, dtype=torch.float16))
    assert not kernel.has_gemm(rows(spec, 4, dtype=torch.float32))
    assert not TritonKernel(packed, spec, layout=WORDS).has_gemm(rows(spec, 4, dtype=torch.float16))
