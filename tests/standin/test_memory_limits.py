"""gpu-split and cpu-memory, as each version of the webui has them."""

from types import SimpleNamespace

import pytest
from airoboros_gptq.webui.memory_limits import max_memory


@pytest.fixture
def two_gpus(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (1000 + device, 5000))


@pytest.mark.parametrize(
    ('asked', 'limits'),
    [
        ({'gpu_split': None, 'cpu_memory': 0}, None),
        ({'gpu_split': '', 'cpu_memory': 0.0}, None),
        ({'gpu_split': '20,7', 'cpu_memory': 0}, {0: '20GiB', 1: '7GiB'}),
        ({'gpu_split': ' 20 , 7 ', 'cpu_memory': 30}, {0: '20GiB', 1: '7GiB', 'cpu': '30GiB'}),
        ({'gpu_split': '20', 'cpu_memory': 30.5, 'cpu': True}, None),
        ({'gpu_split': None, 'cpu_memory': 30}, {0: 1000, 1: 1001, 'cpu': '30GiB'}),
        # v2.2 and before, where gpu_split is ExLlama's
        ({'gpu_memory': None, 'cpu_memory': None, 'gpu_split': '5'}, None),
        ({'gpu_memory': ['10', '3500MiB'], 'cpu_memory': '99GiB'}, {0: '10GiB', 1: '3500MiB', 'cpu': '99GiB'}),
    ],
)
def test_limits(two_gpus, asked, limits):
    assert max_memory(SimpleNamespace(**{'cpu': False, **asked})) == limits


def test_without_a_gpu_there_is_nothing_to_split(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert max_memory(SimpleNamespace(cpu=False, gpu_split='20,7', cpu_memory=10)) is None
