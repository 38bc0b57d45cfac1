"""NativeCpuKernel as a module of a model: casts, copies, devices, and what it refuses."""

import copy

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.cpu.kernel import NativeCpuKernel
from airoboros_gptq.kernels.linear import GPTQLinear
from compiled import needs_library
from random_linears import random_packed
from torch import nn

CPU = torch.device('cpu')


@needs_library
def test_casting_or_copying_the_model_leaves_the_weight_alone():
    spec = LinearSpec(256, 64, 4, 128, True)
    linear = GPTQLinear(random_packed(spec), spec, kernel='native-cpu')
    x = torch.randn(2, 256)
    right = linear(x)
    assert torch.equal(linear.half().float().to(torch.bfloat16)(x), right)
    assert torch.equal(copy.deepcopy(nn.Sequential(linear))(x), right)
    assert torch.equal(linear(x.double()).float(), right)
    assert linear.state_dict() == {}


@needs_library
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
