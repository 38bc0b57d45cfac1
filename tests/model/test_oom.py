"""Memory that runs out while a model is loaded: one sentence, and all of it is free again."""

import gc
import weakref

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.checkpoint.checkpoint import open_checkpoint
from airoboros_gptq.model import load_weights
from airoboros_gptq.model.oom import explain_out_of_memory
from support import PLAIN, TINY


def fails(folder, pattern):
    with pytest.raises(GPTQError, match=pattern) as e:
        load(folder, device='cpu')
    assert '\n' not in str(e.value)
    return e.value


OUT_OF_MEMORY = [
    torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.'),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: can't allocate memory"),
]


@pytest.mark.parametrize('error', OUT_OF_MEMORY, ids=lambda e: type(e).__name__)
def test_memory_runs_out_half_way(tiny_copy, monkeypatch, error):
    """Nothing of the half-built model outlives the error, even where a caller keeps it, and the next load works."""
    kept = []
    honest = load_weights.place_linear

    def refuse(model, name, *args):
        honest(model, name, *args)
        linear = model.get_submodule(name)
        kept.extend([weakref.ref(model), weakref.ref(linear), weakref.ref(linear.kernel)])
        if len(kept) > 30:
            raise type(error)(*error.args)

    monkeypatch.setattr(load_weights, 'place_linear', refuse)
    held = fails(tiny_copy, rf'Memory ran out on cpu while {PLAIN} \(3\.62 MB\) was loaded; close .*smaller model')
    gc.collect()
    assert len(kept) > 30 and not any(ref() is not None for ref in kept), held
    monkeypatch.undo()
    model, _ = load(tiny_copy, device='cpu')
    assert not any(p.is_meta for p in model.parameters())


def test_other_errors_are_not_called_memory(tiny_copy, monkeypatch):
    def refuse(*_):
        raise RuntimeError('a mistake of ours')

    monkeypatch.setattr(load_weights, 'place_linear', refuse)
    with pytest.raises(RuntimeError, match='a mistake of ours'):
        load(tiny_copy, device='cpu')


class Circle:
    """As modules of a model, which refer to each other: only the garbage collector frees it."""

    def __init__(self):
        self.itself = self


def test_what_refers_to_itself_is_freed_before_the_error_is_raised():
    """Else a second try, of a smaller model, would find the memory taken until Python happens to collect."""
    refs = []

    def build():
        refs.append(weakref.ref(Circle()))
        raise MemoryError

    gc.disable()
    try:
        with pytest.raises(GPTQError, match='Memory ran out on cpu'):
            explain_out_of_memory(build, open_checkpoint(TINY, PLAIN), torch.device('cpu'))
        assert refs[0]() is None
    finally:
        gc.enable()


def test_pytorch_gives_a_gpu_s_memory_back(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: emptied.append(True))

    def build():
        raise torch.OutOfMemoryError('CUDA out of memory')

    for device, times in (('cpu', 0), ('cuda:0', 1)):
        with pytest.raises(GPTQError, match=f'Memory ran out on {device}'):
            explain_out_of_memory(build, open_checkpoint(TINY, PLAIN), torch.device(device))
        assert len(emptied) == times
