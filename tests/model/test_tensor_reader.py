"""Tensors read out of files by plain reads: the library's own values, and no buffer that is used twice at once."""

import os
import threading

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.checkpoint.safetensors_header import read_header
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import PackedLinear
from airoboros_gptq.model import build, tensor_reader
from airoboros_gptq.model.tensor_reader import BufferPool, PrefetchReader, open_file, open_tensors
from airoboros_gptq.preflight.folder_summary import read_summary
from safetensors.torch import load_file, save_file
from support import ACT_ORDER, PLAIN, TINY, cpu_kernel

NEEDS_NATIVE = pytest.mark.skipif(cpu_kernel() != 'native-cpu', reason='there is no compiled kernel here')


@pytest.fixture
def file(tmp_path):
    types = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16)
    tensors = {str(t): torch.arange(6).reshape(2, 3).to(t) for t in (*types, torch.uint8, torch.int8)}
    tensors |= {'bool': torch.tensor([True, False]), 'scalar': torch.tensor(3.5), 'none': torch.empty(0, 4)}
    save_file(tensors, tmp_path / 'x.safetensors')
    return tmp_path / 'x.safetensors'


def test_what_is_read_is_what_the_library_reads(file):
    for path in (file, TINY / PLAIN):
        read, right = open_file(read_header(path)), load_file(path)
        for name, tensor in right.items():
            found = read(name)
            assert found.dtype == tensor.dtype and found.shape == tensor.shape and found.equal(tensor), name


def test_a_tensor_that_is_held_is_not_read_over(tmp_path):
    tensors = {f't{i}': torch.full((1000,), float(i)) for i in range(9)}
    save_file(tensors, tmp_path / 'x.safetensors')
    read = open_file(read_header(tmp_path / 'x.safetensors'))
    held = {name: read(name)[10:20] for name in tensors}  # views count too
    for name, view in held.items():
        assert view.equal(tensors[name][10:20])
    at = held['t4'].untyped_storage().data_ptr()
    del held['t4'], view
    assert read('t1').untyped_storage().data_ptr() == at  # used again, since nobody held it
    assert all(view.equal(tensors[name][10:20]) for name, view in held.items())


def test_a_released_buffer_is_the_next_one_of_its_size(monkeypatch):
    monkeypatch.setattr(tensor_reader, 'MAX_POOLED', 100)
    pool = BufferPool()
    first, second, large = pool.acquire(100), pool.acquire(100), pool.acquire(101)
    assert first is not second
    pool.release(first)
    assert pool.acquire(99) is not first and pool.acquire(100) is first
    pool.release(large)
    assert pool.acquire(101) is not large  # an embedding's memory is not kept


@pytest.mark.parametrize('kernel', ['reference', 'torch-int4', pytest.param('native-cpu', marks=NEEDS_NATIVE)])
@pytest.mark.parametrize('checkpoint', [PLAIN, ACT_ORDER])
def test_what_a_kernel_keeps_is_not_read_over(kernel, checkpoint):
    """Kernels repack some of a file's tensors and keep others as they are: reading on must change none of them."""
    summary = read_summary(TINY, checkpoint)
    read = open_tensors(summary.checkpoint)

    def build(module):
        parts = {part: read(f'{module}.{part}') for part in ('qweight', 'qzeros', 'scales', 'g_idx')}
        bias = read(f'{module}.bias')
        return GPTQLinear(PackedLinear(**parts), summary.quantization.specs[module], bias, kernel, torch.float16)

    modules = list(summary.quantization.specs)
    x = {
        size: torch.randn(3, size).half() for size in {spec.in_features for spec in summary.quantization.specs.values()}
    }
    with torch.inference_mode():
        linears = [build(module) for module in modules[:7]]
        before = [linear(x[linear.in_features]) for linear in linears]
        for module in modules[7:]:
            build(module)
        after = [linear(x[linear.in_features]) for linear in linears]
    assert all(map(torch.equal, before, after))


def test_loading_needs_a_few_buffers(monkeypatch):
    """Those of two modules, the one at work and the one that is read ahead, and not one for each tensor of the file."""
    made, mmap = [], tensor_reader.mmap.mmap
    monkeypatch.setattr(tensor_reader.mmap, 'mmap', lambda *args: made.append(args) or mmap(*args))
    load(TINY, checkpoint=PLAIN, kernel='torch-int4', device='cpu', progress=lambda done, total: None)
    assert 0 < len(made) < 40 < len(read_header(TINY / PLAIN).tensors)


def test_a_file_that_shrinks_is_an_error(file):
    header = read_header(file)
    read = open_file(header)
    last = max(header.tensors, key=lambda name: header.tensors[name].begin * (name != 'none'))
    with open(file, 'r+b') as f:
        f.truncate(header.size - 2)
    with pytest.raises(OSError, match='shorter'):
        read(last)


def test_what_is_next_is_read_while_the_caller_works():
    asked = []

    def read(name):
        asked.append(name)
        if name == 'broken':
            raise OSError('no')
        return name.upper()

    with PrefetchReader(read, [['a', 'b'], ['c', 'broken'], ['d']]) as ahead:
        ahead.advance()
        assert (ahead('a'), ahead('b')) == ('A', 'B')
        ahead.advance()
        assert ahead('c') == 'C'
        with pytest.raises(OSError, match='no'):
            ahead('broken')
        ahead.advance()
        assert ahead('d') == 'D'
        ahead.advance()  # the end: nothing is left to read ahead
        assert ahead('e') == 'E'
    assert sorted(asked) == ['a', 'b', 'broken', 'c', 'd', 'e']


@pytest.mark.skipif(not hasattr(os, 'posix_fadvise'), reason='this system takes no such hint')
def test_the_system_is_told_to_read_all_of_a_checkpoint_before_the_model_is_laid_out(monkeypatch):
    told, laid_out = threading.Event(), []

    def advise(file, start, length, advice):
        assert (start, length, advice) == (0, 0, os.POSIX_FADV_WILLNEED)
        assert os.fstat(file).st_ino == (TINY / PLAIN).stat().st_ino
        told.set()

    def skeleton(*args):
        laid_out.append(told.wait(60))
        return real(*args)

    real = build.make_skeleton
    monkeypatch.setattr(os, 'posix_fadvise', advise)
    monkeypatch.setattr(build, 'make_skeleton', skeleton)
    load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu', progress=lambda done, total: None)
    assert laid_out == [True]
