"""The compiled product with an unquantised weight against the formula in fp64."""

import os
import signal
import threading

import pytest
import torch
from airoboros_gptq.kernels.cpu import bindings
from airoboros_gptq.kernels.cpu.dense import dense, reference
from hypothesis import given, settings
from hypothesis import strategies as st

# What rounding the result alone costs, for the last two.
TOLERANCE = {torch.float32: 1e-6, torch.float16: 4e-4, torch.bfloat16: 3e-3}
SHARED_OUT = (3001, 1024)  # outputs, inputs: takes long enough for several threads


def random_inputs(rows, outputs, inputs, dtype=torch.float32, seed=0):
    """x and weight, with numbers behind both that must not be read."""
    generator = torch.Generator().manual_seed(seed)
    behind = torch.full((2, inputs), torch.nan)
    x, weight = (torch.randn(count, inputs, generator=generator) for count in (rows, outputs))
    return tuple(torch.cat((t, behind)).to(dtype)[: len(t)] for t in (x, weight))


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 6),
    outputs=st.one_of(st.integers(1, 9), st.integers(1, 700)),
    blocks=st.integers(1, 40),
    dtype=st.sampled_from(tuple(TOLERANCE)),
    threads=st.sampled_from((1, 2, 4)),
    seed=st.integers(0, 10**6),
)
def test_any_shape(library, rows, outputs, blocks, dtype, threads, seed):
    x, weight = random_inputs(rows, outputs, 32 * blocks, dtype, seed)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = dense(library, x, weight)
    finally:
        torch.set_num_threads(before)
    right = reference(x, weight)
    assert found.dtype == dtype and found.shape == (rows, outputs) and found.is_contiguous()
    # A sum that cancels out is as exact as its parts.
    size = x.double().norm(dim=1, keepdim=True) * weight.double().norm(dim=1)
    assert ((found.double() - right.double()).abs() <= TOLERANCE[dtype] * size).all()


@pytest.mark.parametrize('dtype', TOLERANCE)
def test_threads_change_nothing(library, set_threads, dtype):
    inputs = random_inputs(2, *SHARED_OUT, dtype)
    found = [(set_threads(n), dense(library, *inputs))[1] for n in (1, 2, 3, 7)]
    right = reference(*inputs)
    assert (found[0] - right).float().norm() < TOLERANCE[dtype] * right.float().norm()
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_a_row_does_not_depend_on_the_others(library):
    x, weight = random_inputs(4, *SHARED_OUT)
    together = dense(library, x, weight)
    x[2, 100] = torch.nan
    found = dense(library, x, weight)
    assert found[2].isnan().all() and torch.equal(found[[0, 1, 3]], together[[0, 1, 3]])
    assert all(torch.equal(dense(library, x[i : i + 1], weight)[0], together[i]) for i in (0, 1, 3))


def test_zero_rows(library):
    assert dense(library, torch.empty(0, 64), torch.randn(5, 64)).shape == (0, 5)


def test_callers_at_once(library, set_threads):
    set_threads(3)
    wrong = []

    def call(seed):
        torch.set_num_threads(3)
        inputs = random_inputs(1, *SHARED_OUT, seed=seed)
        right = dense(library, *inputs)
        wrong.extend(n for n in range(30) if not torch.equal(dense(library, *inputs), right))

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
    [c.start() for c in callers]
    [c.join() for c in callers]
    assert wrong == []


@pytest.mark.filterwarnings('ignore:This process.*multi-threaded')
def test_a_child_process_computes(library, set_threads):
    set_threads(2)
    inputs = random_inputs(1, *SHARED_OUT)
    right = dense(library, *inputs)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if torch.equal(dense(library, *inputs), right) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_library_that_computes_it_wrongly_is_not_used(library, monkeypatch):
    monkeypatch.setattr(bindings, 'dense', lambda *args: dense(*args) * 1.01)
    with pytest.raises(RuntimeError, match='computes an lm_head wrongly'):
        bindings.check_library(library)
