"""Devices, before torch is imported and after."""

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest
from airoboros_gptq.preflight import devices
from support import run_python

GB = 10**9


def test_what_is_free(monkeypatch):
    """RAM on the CPU; on a GPU what its driver has left, and what PyTorch has reserved there without using it."""
    cuda = SimpleNamespace(
        mem_get_info=lambda device: {'cuda:1': (5 * GB, 80 * GB)}[device],
        memory_reserved=lambda device: {'cuda:1': 3 * GB}[device],
        memory_allocated=lambda device: {'cuda:1': 2 * GB}[device],
    )
    monkeypatch.setitem(sys.modules, 'torch', SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(devices, 'free_ram', lambda: 7 * GB)
    assert devices.free_memory('cpu') == 7 * GB
    assert devices.free_memory('cuda:1') == 6 * GB
    assert devices.free_memory('cuda:2') is None  # the driver knows no such GPU
    assert devices.free_memory('mps') is None


def test_a_gpu_is_unknown_before_torch_is_there():
    """And is not looked for by importing torch, which takes seconds."""
    program = 'from airoboros_gptq.preflight import devices as m; import sys; '
    program += 'print(m.free_memory("cuda:0"), "torch" in sys.modules)'
    code, out, err = run_python('-c', program)
    assert (code, out.strip()) == (0, 'None False'), err


@pytest.mark.parametrize(('available', 'device'), [(True, 'cuda:0'), (False, 'cpu')])
def test_torch_is_asked_where_it_is_imported(monkeypatch, available, device):
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: available))
    monkeypatch.setitem(sys.modules, 'torch', torch)
    assert devices.default_device() == device


@pytest.mark.parametrize('hidden', ['', '-1'])
def test_a_gpu_that_is_hidden_is_not_guessed(monkeypatch, hidden):
    monkeypatch.delitem(sys.modules, 'torch')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', hidden)
    monkeypatch.setattr(devices.Path, 'exists', lambda path: True)
    assert devices.default_device() == 'cpu'


@pytest.mark.parametrize(
    ('build', 'driver', 'device'), [('2.9.0+cpu', True, 'cpu'), ('2.9.0', True, 'cuda:0'), ('2.9.0', False, 'cpu')]
)
def test_without_torch_the_driver_tells(monkeypatch, build, driver, device):
    monkeypatch.delitem(sys.modules, 'torch')
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(devices, 'version', lambda package: build)
    monkeypatch.setattr(devices.Path, 'exists', lambda path: driver)
    assert devices.default_device() == device


def test_no_torch_at_all_is_no_fault(monkeypatch):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.delitem(sys.modules, 'torch')
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(devices, 'version', missing)
    monkeypatch.setattr(devices.Path, 'exists', lambda path: False)
    assert devices.default_device() == 'cpu'
