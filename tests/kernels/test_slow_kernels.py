"""A kernel that is slow says why it was taken: in the panel before a load, in the log at it."""

import importlib.util
import logging

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.slow_kernels import slow_kernel_notes
from airoboros_gptq.preflight.folder_summary import read_summary
from airoboros_gptq.ui.html import facts_html
from made_models import make
from small_configs import build
from support import TINY

SPEC = LinearSpec(4096, 4096, 4, 128, False)
UNEVEN = LinearSpec(4096, 4096, 4, 128, True, irregular_groups=True)


@pytest.fixture
def gpu(monkeypatch):
    """gpu(capability): a machine with an NVIDIA GPU of it, with or without Triton."""

    def fake(capability, triton=True):
        find_spec = importlib.util.find_spec
        there = lambda name, *args: (triton or None) if name == 'triton' else find_spec(name, *args)  # noqa: E731
        monkeypatch.setattr(importlib.util, 'find_spec', there)
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
        monkeypatch.setattr(torch.version, 'hip', None)

    return fake


def test_a_pascal_gpu(gpu):
    gpu((6, 1))
    assert slow_kernel_notes([SPEC] * 3, 'cuda:0') == [
        '3 linears run with the kernel reference, which is slow: triton cannot (the GPU is older than sm70) and '
        'torch-int4 cannot (the GPU is older than sm80).'
    ]


def test_no_triton(gpu):
    gpu((7, 5), triton=False)
    (turing,) = slow_kernel_notes([SPEC], 'cuda:0')
    assert turing.startswith(
        '1 linear runs with the kernel reference, which is slow: triton cannot (Triton is not installed'
    )
    gpu((8, 6), triton=False)
    (ampere,) = slow_kernel_notes([SPEC], 'cuda:0')
    assert ampere.startswith(
        '1 linear runs with the kernel torch-int4, which is slower than triton: triton cannot (Triton is not'
    )
    assert 'pip install triton, or triton-windows on Windows' in ampere


def test_an_odd_shape_among_others(gpu):
    gpu((9, 0))
    assert slow_kernel_notes([SPEC, UNEVEN, UNEVEN, SPEC], 'cuda:0') == [
        '2 linears run with the kernel reference, which is slow: triton cannot (it is for groups of one size, a multiple of 8, '
        'and the file has another) and torch-int4 cannot (it is for groups of one size, and the file has a shorter one).'
    ]
    assert slow_kernel_notes([SPEC], 'cuda:0') == []


def test_a_device_without_kernels():
    assert slow_kernel_notes([SPEC], 'mps') == [
        '1 linear runs with the kernel reference, which is slow: no faster kernel runs on mps.'
    ]


def test_panel_and_log_say_the_same(tmp_path, no_native, caplog):
    """Groups of 16, which PyTorch's int4 matmul does not have, without a compiler."""
    folder = make(tmp_path, build('llama'), group_size=16).folder
    sentence = (
        '14 linears run with the kernel reference, which is slow: native-cpu cannot (AIROBOROS_GPTQ_NATIVE=0 '
        'switches it off) and torch-int4 cannot (it is for groups of 32, 64, 128 or 256, the file has 16).'
    )
    assert f'<div class="gptq-warning">{sentence}</div>' in facts_html(read_summary(folder, device='cpu'))
    with caplog.at_level(logging.WARNING, 'airoboros_gptq'):
        load(folder, device='cpu')
    assert caplog.messages == [sentence]
    caplog.clear()
    load(folder, device='cpu', kernel='reference')  # as the user chose
    assert not caplog.messages
    assert 'gptq-warning' not in facts_html(read_summary(folder, device='cpu', kernel='reference'))


def test_a_fast_kernel_says_nothing(caplog):
    load(TINY, device='cpu')
    assert not [m for m in caplog.messages if 'slow' in m]
    assert read_summary(TINY, device='cpu').notes == []
