"""Tensors read out of files by plain reads: the library's own values, and no buffer that is used twice at once."""

import os
import threading

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.checkpoint.safetensors_header import read_header
from airoboros_gptq.model import load as model
from airoboros_gptq.model import tensor_reader as reading
from airoboros_gptq.model.tensor_reader import Ahead, Buffers, _open
from safetensors.torch import load_file, save_file
from support import PLAIN, TINY


@pytest.fixture
def file(tmp_path):
    types = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16)
    tensors = {str(t): torch.arange(6).reshape(2, 3).to(t) for t in (*types, torch.uint8, torch.int8)}
    tensors |= {'bool': torch.tensor([True, False]), 'scalar': torch.tensor(3.5), 'none': torch.empty(0, 4)}
    save_file(tensors, tmp_path / 'x.safetensors')
    return tmp_path / 'x.safetensors'


def test_what_is_read_is_what_the_library_reads(file):
    for path in (file, TINY / PLAIN):
        read, right = _open(read_header(path)), load_file(path)
        for name, tensor in right.items():
            found = read(name)
            assert found.dtype == tensor.dtype and found.shape == tensor.shape and found.equal(tensor), name


def test_a_tensor_that_is_held_is_not_read_over(tmp_path):
    tensors = {f't{i}': torch.full((1000,), float(i)) for i in range(9)}
    save_file(tensors, tmp_path / 'x.safetensors')
    read = _open(read_header(tmp_path / 'x.safetensors'))
    held = {name: read(name)[10:20] for name in tensors}  # views count too
    for name, view in held.items():
        assert view.equal(tensors[name][10:20])
    at = held['t4'].untyped_storage().data_ptr()
    del held['t4'], view
    assert read('t1').untyped_storage().data_ptr() == at  # used again, since nobody held it
    assert all(view.equal(tensors[name][10:20]) for name, view in held.items())


def test_large_buffers_are_not_kept(monkeypatch):
    monkeypatch.setattr(reading, '_KEPT', 100)
    buffers = Buffers()
    small, large = buffers.of(100), buffers.of(101)
    assert buffers.of(100) is not small and buffers.of(101) is not large
    del small
    assert sum(map(len, buffers._kept.values())) == 2  # both of 100


def test_a_file_that_shrinks_is_an_error(file):
    header = read_header(file)
    read = _open(header)
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

    with Ahead(read, [['a', 'b'], ['c', 'broken'], ['d']]) as ahead:
        ahead.go_on()
        assert (ahead('a'), ahead('b')) == ('A', 'B')
        ahead.go_on()
        assert ahead('c') == 'C'
        with pytest.raises(OSError, match='no'):
            ahead('broken')
        ahead.go_on()
        assert ahead('d') == 'D'
        ahead.go_on()  # the end: nothing is left to read ahead
        assert ahead('e') == 'E'
    assert sorted(asked) == ['a', 'b', 'broken', 'c', 'd', 'e']


def test_the_head_sees_one_row_as_it_sees_those_of_decoding(load_tiny):
    """Else PyTorch copies the whole weight of the head for each prompt."""
    model, _ = load_tiny()
    strides = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda module, args: strides.append(args[0].stride()))
    try:
        with torch.inference_mode():
            ids = torch.arange(3, 40)[None]
            last = model(ids, logits_to_keep=1).logits
            every = model(ids).logits
    finally:
        hook.remove()
    width = head.weight.shape[1]
    assert strides == [(width, width, 1), (37 * width, width, 1)]
    assert torch.allclose(last[:, 0], every[:, -1], atol=1e-5)


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

    real = model._skeleton
    monkeypatch.setattr(os, 'posix_fadvise', advise)
    monkeypatch.setattr(model, '_skeleton', skeleton)
    load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu', progress=lambda done, total: None)
    assert laid_out == [True]
