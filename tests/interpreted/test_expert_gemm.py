"""The matmul of rows by the experts that they chose, against the reference's formula, on fresh random tensors."""

import random
from dataclasses import replace

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.packing import dequantize
from airoboros_gptq.kernels.triton.expert_gemm import ExpertGemm, ExpertRows
from airoboros_gptq.kernels.triton.kernel import TritonKernel
from airoboros_gptq.kernels.triton.weight_layout import WORDS
from random_linears import random_packed


def experts(count, parts, spec, sym=True):
    """Kernels [count][parts] and the weights [count, parts, K, N] that they stand for."""
    packed = []
    for _ in range(count):
        each = [random_packed(spec, sym, seed=random.randrange(10**6)) for _ in range(parts)]
        packed.append([replace(p, g_idx=each[0].g_idx) for p in each])
    weights = torch.stack([torch.stack([dequantize(p, spec, torch.float64) for p in each]) for each in packed])
    return [[TritonKernel(p, spec) for p in each] for each in packed], weights


def check(tokens, count, k, parts, dtype=torch.float16, sym=True, act_order=False, index=None):
    spec = LinearSpec(64, 64, 4, 32, act_order)
    kernels, weights = experts(count, parts, spec, sym)
    assert ExpertGemm.serves(kernels)
    gemm = ExpertGemm(kernels)
    if index is None:
        index = torch.stack([torch.randperm(count)[:k] for _ in range(tokens)])
    x = torch.randn(tokens, 64).to(dtype)
    rows = ExpertRows.sort(index, count)
    weights = torch.cat((weights, torch.zeros_like(weights[:1])))
    expected = torch.einsum('tk,tcpkn->tcpn', x.double(), weights[index])  # [tokens, k, parts, N]
    for is_sorted in (False, True):
        y = gemm(x[rows.token] if is_sorted else x, rows, is_sorted)
        found = y[rows.place].view(tokens, index.shape[1], parts, 64).double()
        assert (found - expected).norm() <= expected.norm() * (1e-3 if dtype == torch.float16 else 6e-3)


@pytest.mark.parametrize('tokens', [1, 2, 7, 40])
def test_each_row_is_multiplied_by_its_experts(tokens):
    check(tokens, 5, 2, 2, random.choice((torch.float16, torch.bfloat16)), sym=random.random() < 0.5)


def test_all_rows_choose_one_expert():
    check(20, 4, 1, 1, index=torch.full((20, 1), 2))


@pytest.mark.parametrize('tokens', [1, 6])
def test_act_order(tokens):
    check(tokens, 3, 2, 2, act_order=True)


@pytest.mark.parametrize('tokens', [1, 9])
def test_a_choice_of_no_expert_is_zero(tokens):
    index = torch.randint(0, 4, (tokens, 2))
    index[-1, 0] = 3  # of three
    check(tokens, 3, 2, 1, index=index)


def test_linears_that_differ_are_not_served():
    spec = LinearSpec(64, 64, 4, 32, False)
    kernels, _ = experts(2, 2, spec)
    other, _ = experts(1, 2, LinearSpec(64, 32, 4, 32, False))
    assert not ExpertGemm.serves(kernels + other)
    asymmetric, _ = experts(1, 2, spec, sym=False)
    assert not ExpertGemm.serves(kernels + asymmetric)
    assert not ExpertGemm.serves([[TritonKernel(random_packed(spec), spec, layout=WORDS)]])
    ordered, _ = experts(1, 1, LinearSpec(64, 64, 4, 32, True))
    again, _ = experts(1, 1, LinearSpec(64, 64, 4, 32, True))
    assert not ExpertGemm.serves([ordered[0] + again[0]])
