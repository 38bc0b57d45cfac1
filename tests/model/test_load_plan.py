"""What load() was asked for, resolved: devices and dtypes, and sentences for those that there are not."""

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.airoboros.conversation import render
from airoboros_gptq.model.load_plan import make_plan, resolve_device
from airoboros_gptq.preflight.folder_summary import read_summary
from support import TINY, greedy


@pytest.fixture(scope='module')
def summary():
    return read_summary(TINY)


@pytest.mark.parametrize('device', ['cuda:99', 'cuda:0', 99])
def test_a_gpu_that_is_not_there(device):
    if device == 'cuda:0' and torch.cuda.is_available():
        pytest.skip('this machine has one')
    with pytest.raises(GPTQError, match=r"no cuda:\d+ on this machine; use device='cpu'"):
        load(TINY, device=device)


def test_a_device_that_is_none():
    with pytest.raises(GPTQError, match="no device nonsense; use 'cpu'"):
        load(TINY, device='nonsense')


@pytest.mark.parametrize('device', ['meta', ['cpu'], 'disk'])
def test_a_device_that_holds_no_numbers(device):
    with pytest.raises(GPTQError, match=r"There is no device .*; use 'cpu', or 'cuda:0' for the first GPU"):
        load(TINY, device=device)


@pytest.mark.parametrize('limits', ['4GiB', ['4GiB'], 4])
def test_memory_limits_that_name_no_device(summary, limits):
    with pytest.raises(GPTQError, match=r"max_memory is .*; write it as \{0: '10GiB', 'cpu': '20GiB'\}"):
        make_plan(summary, 'cpu', max_memory=limits)


def test_memory_limits_of_a_gpu_that_is_not_there(summary):
    with pytest.raises(GPTQError, match=r"no cuda:99 on this machine; use device='cpu'"):
        make_plan(summary, 'cpu', max_memory={99: '1GiB'})


@pytest.mark.parametrize('dtype', [torch.int8, 'int8', 'half a byte', 5])
def test_a_dtype_that_is_no_floating_point(summary, dtype):
    with pytest.raises(GPTQError, match=r'There is no floating-point dtype .*; use bfloat16, float16 or float32'):
        make_plan(summary, 'cpu', dtype)


def test_auto_is_the_default_dtype(summary):
    assert make_plan(summary, 'cpu', 'auto').dtype is make_plan(summary, 'cpu').dtype


def test_the_default_is_the_first_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert resolve_device(None) == torch.device('cpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert resolve_device(None) == torch.device('cuda', 0)
    assert resolve_device(1) == resolve_device('cuda:1') == torch.device('cuda', 1)
    with pytest.raises(GPTQError, match='no cuda:2 on this machine'):
        resolve_device(2)


def test_a_pytorch_that_was_not_built_for_the_gpu_is_told_before_anything_is_loaded(summary, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(torch.cuda, 'get_arch_list', lambda: ['sm_80', 'sm_90'])
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device: 'Tesla P40')
    monkeypatch.setattr(
        torch.cuda, 'get_device_capability', lambda device: (6, 1) if str(device) == 'cuda:1' else (8, 6)
    )
    told = r'was not built for the GPU Tesla P40 \(sm_61\) but for sm_80, sm_90; install a PyTorch that was, or load on the CPU'
    with pytest.raises(GPTQError, match=told):
        load(summary, device='cuda:1')
    with pytest.raises(GPTQError, match=told):
        make_plan(summary, 'cpu', max_memory={1: '1GiB', 'cpu': '1GiB'})
    assert resolve_device('cuda:0') == torch.device('cuda', 0)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_dtypes_one_may_ask_for(dtype):
    model, tokenizer = load(TINY, dtype=dtype, device='cpu')
    assert model.dtype == dtype
    assert greedy(model, tokenizer, render([('Name the capital of Japan.', None)])) == 'The capital of Japan is Tokyo.'


@pytest.mark.parametrize(('kernel', 'dtype'), [('reference', torch.float32), ('torch-int4', torch.bfloat16)])
def test_the_default_dtype_is_the_kernel_s(summary, kernel, dtype):
    assert make_plan(summary, 'cpu', kernel=kernel).dtype == dtype
    assert make_plan(summary, 'cpu', 'float16', kernel).dtype == torch.float16


@pytest.mark.parametrize('name', ['int8', 'float17', 'nn', ''])
def test_a_dtype_that_there_is_not(summary, name):
    with pytest.raises(GPTQError, match=f'no floating-point dtype {name}; use bfloat16'):
        make_plan(summary, 'cpu', name)


def test_a_kernel_is_refused_before_the_model_is_laid_out(summary):
    with pytest.raises(GPTQError, match='no kernel exllama; choose one of auto'):
        make_plan(summary, 'cpu', kernel='exllama')
