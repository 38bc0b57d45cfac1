"""The guard that makes a tensor's GPU the current one."""

import contextlib

import torch
from airoboros_gptq.kernels.triton.device import device_guard


def test_a_gpu_becomes_the_current_device(monkeypatch):
    entered = []
    monkeypatch.setattr(torch.cuda, 'device', lambda device: contextlib.nullcontext(entered.append(device)))
    with device_guard(torch.device('cuda', 1)):
        assert entered == [torch.device('cuda', 1)]


def test_a_cpu_needs_none():
    with device_guard(torch.device('cpu')) as entered:
        assert entered is None
