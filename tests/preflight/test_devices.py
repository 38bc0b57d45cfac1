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


BUILT_128 = ['sm_75', 'sm_80', 'sm_86', 'sm_90', 'sm_100', 'sm_120']


def fake_gpu(monkeypatch, capability, built, hip=None):
    """A torch that sees one GPU of this capability and was built for `built`."""
    cuda = SimpleNamespace(
        get_device_capability=lambda device: capability,
        get_arch_list=lambda: built,
        get_device_name=lambda device: 'NVIDIA GeForce GTX 1080',
    )
    torch = SimpleNamespace(cuda=cuda, version=SimpleNamespace(hip=hip), __version__='2.9.1+cu128')
    monkeypatch.setitem(sys.modules, 'torch', torch)


@pytest.mark.parametrize('capability', [(6, 1), (7, 0), (5, 2)])
def test_a_gpu_that_pytorch_was_not_built_for_is_one_sentence(monkeypatch, capability):
    fake_gpu(monkeypatch, capability, BUILT_128)
    assert devices.device_problem('cuda:0') == (
        'PyTorch 2.9.1+cu128 was not built for the GPU NVIDIA GeForce GTX 1080 '
        f'(sm_{capability[0]}{capability[1]}) but for {", ".join(BUILT_128)}; '
        'install a PyTorch that was, or load on the CPU.'
    )
    assert devices.device_problem('cpu') is None


@pytest.mark.parametrize(
    ('capability', 'built', 'runs'),
    [
        ((8, 9), BUILT_128, True),  # Ada by sm_86
        ((12, 1), BUILT_128, True),
        ((10, 3), BUILT_128, True),
        ((8, 0), ['sm_86'], False),  # a minor version goes up only
        ((9, 0), ['sm_80', 'compute_80'], True),  # PTX is compiled by the driver
        ((9, 0), ['sm_80'], False),
        ((7, 5), ['compute_80'], False),
        ((9, 0), ['sm_90a'], True),
        ((10, 3), ['sm_100a'], False),
        ((10, 3), ['sm_100f'], True),
        ((6, 1), [], True),  # not known
    ],
)
def test_what_pytorch_was_built_for(monkeypatch, capability, built, runs):
    fake_gpu(monkeypatch, capability, built)
    assert (devices.device_problem('cuda:0') is None) == runs


def test_amd_is_not_judged_by_nvidia_s_names(monkeypatch):
    fake_gpu(monkeypatch, (11, 0), ['gfx90a'], hip='6.4')
    assert devices.device_problem('cuda:0') is None


def test_before_torch_no_gpu_is_judged(monkeypatch):
    monkeypatch.delitem(sys.modules, 'torch')
    assert devices.device_problem('cuda:0') is None


@pytest.mark.parametrize(
    ('build', 'driver', 'told'), [('2.9.0+cpu', True, True), ('2.9.0+cpu', False, False), ('2.9.0+cu128', True, False)]
)
def test_a_gpu_beside_a_pytorch_for_the_cpu_is_told(monkeypatch, build, driver, told):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(devices, 'version', lambda package: build)
    monkeypatch.setattr(devices.Path, 'exists', lambda path: driver)
    sentence = (
        'The NVIDIA GPU of this machine is not used: PyTorch 2.9.0+cpu was built for the CPU alone; '
        'install a PyTorch built for CUDA.'
    )
    assert devices.idle_gpu() == (sentence if told else None)
