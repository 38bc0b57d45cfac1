"""The compiled library against the reference on fresh random tensors, and what happens where it cannot be had or is wrong."""

import logging
import os
import re
import shutil

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.cpu import bindings
from airoboros_gptq.kernels.cpu.bindings import gemm, repack
from airoboros_gptq.kernels.cpu.library_cache import compiled_library
from airoboros_gptq.kernels.packing import dequantize
from airoboros_gptq.kernels.registry import select_kernel
from airoboros_gptq.kernels.rules import rule_for, target_of
from compiled import needs_library
from hypothesis import given, settings
from hypothesis import strategies as st
from random_linears import random_packed
from support import EXTENSIONS, ROOT, run_python, write_script

CPU = torch.device('cpu')
SPEC = LinearSpec(256, 64, 4, 128, False)
# Activations have 16 bits, so that a block's largest is rounded to one part in 65534.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def run(library, spec, packed, x):
    return gemm(library, x, repack(library, packed, spec), spec)


@settings(max_examples=40, deadline=None)
@given(
    bits=st.sampled_from((2, 3, 4, 8)),
    group_size=st.sampled_from((8, 16, 32, 64, 96, 128, 256)),
    groups=st.integers(1, 5),
    short=st.booleans(),
    columns=st.integers(1, 5),
    desc_act=st.booleans(),
    sym=st.booleans(),
    form=st.sampled_from(('gptq', 'gptq_v2')),
    half=st.booleans(),
    rows=st.integers(1, 70),
    dtype=st.sampled_from(tuple(TOLERANCE)),
    seed=st.integers(0, 10**6),
)
def test_any_weight(library, bits, group_size, groups, short, columns, desc_act, sym, form, half, rows, dtype, seed):
    inputs = -(-group_size * groups // 32) * 32 if not desc_act else group_size * groups * (32 // min(group_size, 32))
    inputs += 32 if short and not desc_act else 0  # the last group is shorter
    spec = LinearSpec(inputs, columns * 32, bits, group_size, desc_act, form)
    packed = random_packed(spec, sym, True, half, seed)
    x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(seed)).to(dtype)
    right = x.double() @ dequantize(packed, spec, torch.float64)
    found = run(library, spec, packed, x)
    assert found.dtype == dtype
    assert (found.double() - right).norm() / right.norm() < TOLERANCE[dtype]


@pytest.mark.parametrize('columns', [8, 24, 40, 104])
def test_columns_that_do_not_fill_a_tile(library, columns):
    spec = LinearSpec(256, columns, 4, 128, True)
    wide = random_packed(LinearSpec(256, 128, 4, 128, True), False)
    packed = type(wide)(
        wide.qweight[:, :columns].contiguous(),
        wide.qzeros[:, : columns // 8].contiguous(),
        wide.scales[:, :columns].contiguous(),
        wide.g_idx,
    )
    x = torch.randn(3, 256)
    right = x.double() @ dequantize(packed, spec, torch.float64)
    assert (run(library, spec, packed, x) - right).norm() / right.norm() < 1e-4


@pytest.mark.parametrize('bits', [4, 8])
@pytest.mark.parametrize('desc_act', [False, True])
def test_a_row_is_the_same_in_any_batch(library, bits, desc_act):
    """To the bit: a token's logits must not depend on how many tokens are computed with it."""
    spec = LinearSpec(512, 96, bits, 128, desc_act)
    weight = repack(library, random_packed(spec, False), spec)
    x = torch.randn(300, 512)
    together = gemm(library, x, weight, spec)
    for count in (*range(1, 14), 40, 255, 256, 257):
        assert torch.equal(gemm(library, x[:count].contiguous(), weight, spec), together[:count]), count


def test_threads_change_nothing(library):
    spec = LinearSpec(256, 160, 4, 64, True)
    packed, x, before = random_packed(spec), torch.randn(9, 256), torch.get_num_threads()
    try:
        found = [(torch.set_num_threads(n), run(library, spec, packed, x))[1] for n in (1, 2, 3, 7)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_outliers_cost_accuracy_in_their_own_block_only(library):
    """As in LLaMA's down_proj, where a few activations are a thousand times the others."""
    spec = LinearSpec(1024, 64, 4, 128, False)
    packed, x = random_packed(spec, False), torch.randn(4, 1024)
    weight = dequantize(packed, spec, torch.float64)
    near, far = x.clone(), x.clone()
    near[:, 128:], far[:, :128] = 0, 0
    near[:, 5] = 3000
    right = (near + far).double() @ weight
    assert (run(library, spec, packed, near + far) - right).norm() / right.norm() < 5e-4
    beside = run(library, spec, packed, near + far) - run(library, spec, packed, near)
    right = far.double() @ weight
    assert (beside - right).norm() / right.norm() < 1e-3  # a difference of large numbers in fp32


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_a_value_that_is_not_finite_spoils_its_row_only(library, value):
    spec = LinearSpec(256, 64, 4, 128, False)
    packed, x = random_packed(spec), torch.randn(12, 256)
    right = run(library, spec, packed, x)
    x[7, 200] = value
    found = run(library, spec, packed, x)
    assert not found[7].isfinite().any()
    assert torch.equal(found[:7], right[:7]) and torch.equal(found[8:], right[8:])


@pytest.mark.parametrize('size', [0.0, 1e-38, 1e-20, 1e30])
def test_very_small_and_very_large_activations(library, size):
    spec = LinearSpec(256, 64, 4, 128, False)
    packed = random_packed(spec)
    x = torch.randn(2, 256) * size
    right = x.double() @ dequantize(packed, spec, torch.float64)
    found = run(library, spec, packed, x)
    assert (found - right).norm() <= 1e-4 * right.norm() + 1e-30


def test_zero_rows(library):
    spec = LinearSpec(256, 64, 4, 128, False)
    assert run(library, spec, random_packed(spec), torch.empty(0, 256)).shape == (0, 64)


def test_scales_that_fp16_cannot_hold(library):
    spec = LinearSpec(256, 64, 4, 128, False)
    packed = random_packed(spec, half=False)
    packed.scales[0, :32] = 1e-9
    x = torch.randn(2, 256)
    x[:, 128:] = 0
    right = (x.double() @ dequantize(packed, spec, torch.float64))[:, :32]
    assert (run(library, spec, packed, x)[:, :32] - right).norm() / right.norm() < 1e-4


@needs_library
def test_prompts_run_on_the_threads_of_pytorch():
    """Helpers would have to share the cores with them."""
    program = (
        'import os, torch; torch.set_num_threads(2); from random_linears import *\n'
        'from airoboros_gptq.checkpoint.linear_spec import LinearSpec\n'
        'spec = LinearSpec(2048, 2048, 4, 128, False); k = GPTQLinear(random_packed(spec), spec, kernel="native-cpu")\n'
        'x = torch.randn(64, 2048); a = torch.randn(1 << 20); a * 2; before = len(os.listdir("/proc/self/task"))\n'
        'k(x); print(len(os.listdir("/proc/self/task")) - before)'
    )
    paths = os.pathsep.join((str(EXTENSIONS), str(ROOT / 'tests' / 'helpers')))
    code, out, err = run_python('-c', program, PYTHONPATH=paths, OMP_NUM_THREADS='2')
    assert (code, out.strip()) == (0, '0'), err


def selected(caplog):
    """The kernel that auto takes now, and the lines that were logged about it."""
    caplog.set_level(logging.INFO, 'airoboros_gptq')
    names = {select_kernel('auto', SPEC, CPU).name for _ in range(3)}
    return names, [r.getMessage() for r in caplog.records]


@needs_library
def test_it_is_compiled_once_and_kept(empty_cache, monkeypatch, tmp_path, caplog):
    """By a compiler that copies what was compiled before, since compiling takes many seconds."""
    with monkeypatch.context() as patch, (patch.delenv('AIROBOROS_GPTQ_CACHE'), compiled_library())[1] as library:
        shutil.copy(library, tmp_path / 'compiled')
    copy = f'while [ "$1" != -o ]; do shift; done; cp {tmp_path}/compiled "$2"'
    monkeypatch.setenv('CXX', write_script(tmp_path / 'cxx', copy))
    names, lines = selected(caplog)
    assert (
        names == {'native-cpu'}
        and len(lines) == 1
        and re.search(r'compiled the CPU kernel with .* in [\d.]+ s', lines[0])
    )
    caplog.clear()
    bindings._library_or_reason.cache_clear()
    monkeypatch.setenv('PATH', '')  # what was kept needs no compiler
    assert selected(caplog) == ({'native-cpu'}, [])


def test_no_compiler(empty_cache, monkeypatch, caplog):
    monkeypatch.setenv('PATH', '')
    monkeypatch.delenv('CXX', raising=False)
    names, lines = selected(caplog)
    assert names == {'torch-int4'}
    assert len(lines) == 1 and re.search(r'no C\+\+ compiler \(g\+\+ or clang\+\+\)|Linux|AVX2', lines[0])


def test_switched_off(empty_cache, monkeypatch, caplog):
    monkeypatch.setenv('AIROBOROS_GPTQ_NATIVE', '0')
    names, lines = selected(caplog)
    assert names == {'torch-int4'} and len(lines) == 1 and 'AIROBOROS_GPTQ_NATIVE=0' in lines[0]
    with pytest.raises(RuntimeError, match='no compiled kernel: AIROBOROS_GPTQ_NATIVE=0 switches it off'):
        bindings.load_library()
    assert bindings.instruction_set() is None


@needs_library
@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('echo "library.cpp:1: error: no such option" >&2; exit 1', r'could not compile it \(library.cpp:1: error'),
        ('exit 0', 'could not compile it'),
        ('while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"', 'that was compiled is not used'),
    ],
)
def test_a_compiler_that_fails(empty_cache, monkeypatch, tmp_path, caplog, text, words):
    monkeypatch.setenv('CXX', write_script(tmp_path / 'broken', text))
    names, lines = selected(caplog)
    assert names == {'torch-int4'}
    assert re.search(words, lines[-1]) and len([line for line in lines if 'compiled the CPU' not in line]) == 1
    assert not list(empty_cache.rglob('new.so'))


@needs_library
def test_the_estimate_knows_what_failed(empty_cache, monkeypatch, tmp_path):
    def expected():
        return rule_for('auto', SPEC, target_of('cpu')).name

    assert expected() == 'native-cpu'
    monkeypatch.setenv('CXX', write_script(tmp_path / 'broken', 'exit 1'))
    assert expected() == 'native-cpu'  # it has not been tried yet
    assert select_kernel('auto', SPEC, CPU).name == expected() == 'torch-int4'


@needs_library
def test_a_library_that_computes_wrongly_is_not_used(monkeypatch, forget_library, caplog):
    """As one of a compiler that errs, or on an emulated processor."""
    monkeypatch.setattr(bindings, 'gemm', lambda *args: gemm(*args) * 1.01)
    names, lines = selected(caplog)
    assert names == {'torch-int4'} and 'computes 4 bits wrongly' in lines[-1]
