"""Which GPUs and Tritons launch kernels early."""

import pytest
import torch

pytest.importorskip('triton', reason='Triton is not installed')
from airoboros_gptq.kernels.triton.pdl import launch_options

GPU = torch.device('cuda', 0)


@pytest.fixture
def gpu(monkeypatch):
    """gpu(capability, hip): as on a machine with such a GPU."""

    def set_up(capability, hip=None):
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
        monkeypatch.setattr(torch.version, 'hip', hip)

    return set_up


def test_from_sm90(gpu):
    gpu((9, 0))
    assert launch_options(GPU) == {'USE_PDL': True, 'launch_pdl': True}


def test_a_triton_that_has_no_such_option(gpu, monkeypatch):
    from triton.backends.nvidia.compiler import CUDAOptions

    gpu((9, 0))
    monkeypatch.delitem(CUDAOptions.__dataclass_fields__, 'launch_pdl')
    assert launch_options(GPU) == {'USE_PDL': False}


def test_elsewhere(gpu):
    gpu((8, 9))
    assert launch_options(GPU) == {'USE_PDL': False}
    gpu((9, 4), hip='7.2')
    assert launch_options(GPU) == {'USE_PDL': False}
    assert launch_options(torch.device('cpu')) == {'USE_PDL': False}
