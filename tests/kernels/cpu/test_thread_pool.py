"""Helpers that come late, or from several callers at once, change no result; and a caller that forks still computes."""

import os
import threading

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.cpu.attention import attend
from airoboros_gptq.kernels.cpu.bindings import gemm, repack
from airoboros_gptq.kernels.cpu.dense import dense
from airoboros_gptq.kernels.packing import dequantize
from random_linears import random_packed

SPEC = LinearSpec(1024, 2048, 4, 128, False)  # large enough to be shared out


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def delay(library):
    yield library.gptq_delay_threads
    library.gptq_delay_threads(0)


@pytest.mark.parametrize('ns', [0, 5_000, 200_000])
def test_delayed_helpers_change_no_result(library, threads, delay, ns):
    packed = random_packed(SPEC)
    weight, formula = repack(library, packed, SPEC), dequantize(packed, SPEC, torch.float64)
    head = torch.randn(3001, 1024)
    cache = [torch.randn(1, 8, 1500, 128) for _ in range(2)]
    for seed in range(12):
        x = torch.randn(1 + seed % 9, 1024, generator=torch.Generator().manual_seed(seed))
        query = torch.randn(1, 8, 1, 128, generator=torch.Generator().manual_seed(seed))
        found = []
        for count in (1, 2, 4):
            threads(count)
            delay(ns)
            found.append(
                (gemm(library, x, weight, SPEC), dense(library, x[:4], head), attend(library, query, *cache, 0.1))
            )
        right = x.double() @ formula
        assert (found[0][0].double() - right).norm() / right.norm() < 1e-4
        assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_callers_at_once(library, threads, delay):
    """One has the helpers, the others work alone; each gets its own result."""
    threads(3)
    delay(20_000)
    weight, wrong = repack(library, random_packed(SPEC), SPEC), []

    def call(seed):
        torch.set_num_threads(3)
        x = torch.randn(2, 1024, generator=torch.Generator().manual_seed(seed))
        right = gemm(library, x, weight, SPEC)
        wrong.extend(n for n in range(60) if not torch.equal(gemm(library, x, weight, SPEC), right))

    callers = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    [c.start() for c in callers]
    [c.join() for c in callers]
    assert wrong == []


def test_a_child_process_has_helpers_of_its_own(library, threads):
    threads(2)
    weight, x = repack(library, random_packed(SPEC), SPEC), torch.ones(1, 1024)
    right = gemm(library, x, weight, SPEC)
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(gemm(library, x, weight, SPEC), right) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
