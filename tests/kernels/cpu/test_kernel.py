"""The kernel that is compiled here: against the reference on fresh random tensors, and what becomes of it where compiling,
keeping or running it goes wrong.
"""

import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from airoboros_gptq.kernels.cpu import bindings as native
from airoboros_gptq.kernels.cpu import compile as build
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import LinearSpec, dequantize
from airoboros_gptq.kernels.registry import NativeCpuKernel, select_kernel
from hypothesis import given, settings
from hypothesis import strategies as st
from random_linears import random_packed
from support import EXTENSIONS, ROOT, run_python

CPU = torch.device('cpu')
COMPILES = native.find_library()[1]
needs_compiler = pytest.mark.skipif(COMPILES is not None, reason=f'no compiled kernel here: {COMPILES}')
# Activations have 16 bits, so that a block's largest is rounded to one part in 65534.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-3, torch.bfloat16: 1e-2}


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A cache folder of one's own, empty, and nothing remembered of what this process found before."""
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path / 'cache'))
    build.why_not.cache_clear()
    native.find_library.cache_clear()
    yield tmp_path / 'cache'
    build.why_not.cache_clear()
    native.find_library.cache_clear()


def run(library, spec, packed, x):
    return native.multiply(library, x, native.pack(library, packed, spec), spec)


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
def test_columns_that_fill_no_tile(library, columns):
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
def test_a_row_is_the_same_in_any_company(library, bits, desc_act):
    """To the bit: what a token's logits are must not hang on how many tokens were computed with it."""
    spec = LinearSpec(512, 96, bits, 128, desc_act)
    weight = native.pack(library, random_packed(spec, False), spec)
    x = torch.randn(300, 512)
    together = native.multiply(library, x, weight, spec)
    for count in (*range(1, 14), 40, 255, 256, 257):
        assert torch.equal(native.multiply(library, x[:count].contiguous(), weight, spec), together[:count]), count


def test_threads_change_nothing(library):
    spec = LinearSpec(256, 160, 4, 64, True)
    packed, x, before = random_packed(spec), torch.randn(9, 256), torch.get_num_threads()
    try:
        found = [(torch.set_num_threads(n), run(library, spec, packed, x))[1] for n in (1, 2, 3, 7)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_outliers_spoil_their_own_block_alone(library):
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
def test_what_is_not_finite_spoils_its_row_alone(library, value):
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


@needs_compiler
def test_it_works_on_the_threads_of_pytorch():
    """A pool of its own would spin against PyTorch's."""
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


@needs_compiler
def test_casting_or_copying_the_model_leaves_the_weight_alone():
    import copy

    spec = LinearSpec(256, 64, 4, 128, True)
    linear = GPTQLinear(random_packed(spec), spec, kernel='native-cpu')
    x = torch.randn(2, 256)
    right = linear(x)
    assert torch.equal(linear.half().float().to(torch.bfloat16)(x), right)
    assert torch.equal(copy.deepcopy(linear)(x), right)
    assert torch.equal(linear(x.double()).float(), right)
    assert linear.state_dict() == {}


@needs_compiler
def test_it_refuses_other_devices_instead_of_crashing():
    spec = LinearSpec(256, 64, 4, 128, False)
    linear = GPTQLinear(random_packed(spec), spec, kernel='native-cpu').to('meta')
    with pytest.raises(RuntimeError, match='native-cpu runs on the CPU alone; load the model onto'):
        linear(torch.randn(2, 256, device='meta'))


@pytest.mark.parametrize(
    ('spec', 'words'),
    [
        (LinearSpec(256, 64, 5, 128, False), 'it is for 2, 3, 4 and 8 bits, the file has 5'),
        (LinearSpec(256, 64, 4, 128, True, irregular_groups=True), 'groups of one size'),
        (LinearSpec(256, 64, 4, 36, False), 'a multiple of 8'),
    ],
)
def test_what_it_cannot_run(spec, words):
    assert words in NativeCpuKernel.unsupported_reason(spec, CPU)


SPEC = LinearSpec(256, 64, 4, 128, False)


def fallback(caplog):
    """The kernel that auto takes now, and the lines that were logged of it."""
    caplog.set_level(logging.INFO, 'airoboros_gptq')
    names = {select_kernel('auto', SPEC, CPU).name for _ in range(3)}
    return names, [r.getMessage() for r in caplog.records]


def test_no_compiler(fresh, monkeypatch, caplog):
    monkeypatch.setenv('PATH', '')
    monkeypatch.delenv('CXX', raising=False)
    names, lines = fallback(caplog)
    assert names == {'torch-int4'}
    assert len(lines) == 1 and re.search(r'no C\+\+ compiler \(g\+\+ or clang\+\+\)|Linux|AVX2', lines[0])


def test_switched_off(fresh, monkeypatch, caplog):
    monkeypatch.setenv('AIROBOROS_GPTQ_NATIVE', '0')
    names, lines = fallback(caplog)
    assert names == {'torch-int4'} and len(lines) == 1 and 'AIROBOROS_GPTQ_NATIVE=0' in lines[0]


def script(path, text):
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return str(path)


@needs_compiler
@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('echo "gptq_cpu.cpp:1: error: no such option" >&2; exit 1', r'could not compile it \(gptq_cpu.cpp:1: error'),
        ('exit 0', 'could not compile it'),
        ('while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"', 'that was compiled is not used'),
    ],
)
def test_a_compiler_that_fails(fresh, monkeypatch, tmp_path, caplog, text, words):
    monkeypatch.setenv('CXX', script(tmp_path / 'broken', text))
    names, lines = fallback(caplog)
    assert names == {'torch-int4'}
    assert re.search(words, lines[-1]) and len([line for line in lines if 'compiled the CPU' not in line]) == 1
    assert not list(fresh.rglob('made.so'))


@needs_compiler
def test_a_kernel_that_computes_wrongly_is_not_used(fresh, monkeypatch, tmp_path, caplog):
    """A compiler that errs: the real one, given a source in which a shift is wrong."""
    real = build.compiler()
    source = Path(build.__file__).parent / 'csrc'
    for path in source.glob('*.[ch]*'):
        (tmp_path / path.name).write_text(path.read_text().replace('shift16<8>', 'shift16<7>'))
    wrong = f'for a; do shift; case $a in *.cpp) a={tmp_path}/gemm.cpp;; esac; set -- "$@" "$a"; done; exec {real} "$@"'
    monkeypatch.setenv('CXX', script(tmp_path / 'wrong', wrong))
    names, lines = fallback(caplog)
    assert names == {'torch-int4'} and 'computes 4 bits wrongly' in lines[-1]


@needs_compiler
def test_it_is_compiled_once_and_kept(fresh, monkeypatch, caplog):
    names, lines = fallback(caplog)
    assert (
        names == {'native-cpu'}
        and len(lines) == 1
        and re.search(r'compiled the CPU kernel with .* in [\d.]+ s', lines[0])
    )
    caplog.clear()
    native.find_library.cache_clear()
    build.why_not.cache_clear()
    monkeypatch.setenv('PATH', '')  # what was kept needs no compiler
    assert fallback(caplog) == ({'native-cpu'}, [])


@needs_compiler
def test_flags_of_the_users_own(fresh, monkeypatch):
    kept = build.library()
    monkeypatch.setenv('AIROBOROS_GPTQ_CXXFLAGS', '-mno-avx512f -O1')
    assert build.library() != kept
    assert native.instructions() == 'AVX2'


@needs_compiler
@pytest.mark.parametrize('damage', ['cut short', 'empty', 'one byte'])
def test_a_damaged_cache_is_compiled_anew(fresh, damage, caplog):
    path = build.library()
    content = bytearray(path.read_bytes())
    if damage == 'one byte':
        content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content[: {'cut short': 20000, 'empty': 0}.get(damage)])
    names, lines = fallback(caplog)
    assert names == {'native-cpu'} and 'compiled the CPU kernel' in lines[-1] and build.is_whole(path)


@needs_compiler
def test_a_cache_that_cannot_be_written(fresh, monkeypatch, tmp_path, caplog):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path / 'file' / 'cache'))
    names, lines = fallback(caplog)
    assert names == {'native-cpu'} and any('cannot be written' in line for line in lines)


@needs_compiler
def test_processes_that_compile_at_once(fresh):
    program = 'from airoboros_gptq.kernels.cpu.bindings import find_library as f; print(f()[1])'

    def start(_):
        return run_python('-c', program, AIROBOROS_GPTQ_CACHE=str(fresh))

    with ThreadPoolExecutor(3) as pool:
        for code, out, err in pool.map(start, range(3)):
            assert (code, out.strip()) == (0, 'None'), err
    assert [p.suffix for p in fresh.iterdir()] == ['.so']


@needs_compiler
def test_the_estimate_knows_what_failed(fresh, monkeypatch, tmp_path):
    from airoboros_gptq.kernels.rules import rule_for, target_of

    def expected():
        return rule_for('auto', SPEC, target_of('cpu')).name

    assert expected() == 'native-cpu'
    monkeypatch.setenv('CXX', script(tmp_path / 'broken', 'exit 1'))
    build.why_not.cache_clear()
    assert expected() == 'native-cpu'  # it has not been tried yet
    assert select_kernel('auto', SPEC, CPU).name == expected() == 'torch-int4'


def test_nothing_heavy_is_imported_to_estimate():
    program = (
        'import sys; from airoboros_gptq.kernels.cpu.compile import why_not; why_not(); print("torch" in sys.modules)'
    )
    code, out, err = run_python('-c', program)
    assert (code, out.strip()) == (0, 'False'), err
