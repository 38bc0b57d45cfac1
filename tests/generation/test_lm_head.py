"""lm_head gets contiguous rows, and beside the compiled kernel few of them are multiplied in the compiled library."""

import copy
import pickle

import pytest
import torch
from airoboros_gptq.generation import lm_head
from airoboros_gptq.generation.lm_head import CompiledLinear
from airoboros_gptq.kernels.cpu.dense import dense
from compiled import needs_library
from torch import nn


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


@pytest.fixture
def linears():
    """linears(inputs, dtype, bias): PyTorch's linear and the same one as CompiledLinear."""

    def make(inputs=256, dtype=torch.bfloat16, bias=False):
        plain = nn.Linear(inputs, 999, bias=bias, dtype=dtype).requires_grad_(False)
        compiled = copy.deepcopy(plain)
        compiled.__class__ = CompiledLinear
        return plain, compiled

    return make


@pytest.fixture
def dense_calls(monkeypatch):
    """The rows of each product that the compiled library made."""
    calls = []
    monkeypatch.setattr(
        lm_head, 'dense', lambda library, x, weight: (calls.append(len(x)), dense(library, x, weight))[1]
    )
    return calls


@needs_library
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('shape', [(1, 1, 256), (4, 256), (256,), (2, 2, 256), (1, 5, 256), (0, 256)])
def test_a_compiled_linear_answers_as_pytorchs(linears, dense_calls, dtype, bias, shape):
    plain, compiled = linears(dtype=dtype, bias=bias)
    x = torch.randn(shape).to(dtype)
    expected, found = plain(x), compiled(x)
    assert found.shape == expected.shape and found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=2e-2 if dtype != torch.float32 else 1e-5)
    rows = x.numel() // 256
    assert dense_calls == ([rows] if 0 < rows <= 4 else [])


@needs_library
def test_what_the_compiled_library_is_not_for_goes_to_pytorch(linears, dense_calls):
    plain, compiled = linears(dtype=torch.float32)
    x = torch.randn(1, 256)
    assert linears(inputs=100)[1](torch.ones(1, 100, dtype=torch.bfloat16)).shape == (1, 999)
    with torch.autocast('cpu', torch.bfloat16):
        assert compiled(x).dtype == plain(x).dtype == torch.bfloat16
    differentiable = x.clone().requires_grad_()
    compiled(differentiable).sum().backward()
    assert torch.allclose(differentiable.grad, plain.weight.sum(0)[None], atol=1e-4)
    compiled.weight.requires_grad_()
    compiled(x).sum().backward()
    assert torch.allclose(compiled.weight.grad, x.expand(999, -1))
    assert compiled.to('meta')(x.to('meta')).device.type == 'meta'
    with pytest.raises(RuntimeError):
        linears(dtype=torch.float32)[1](x.half())
    assert dense_calls == []


@needs_library
def test_only_with_the_compiled_kernel_lm_head_runs_in_the_library(load_tiny, dense_calls):
    ids = torch.arange(3, 40)[None]
    logits = {}
    for kernel in ('reference', 'native-cpu'):
        model, _ = load_tiny(kernel=kernel, dtype='float32')
        with torch.inference_mode():
            logits[kernel] = model(ids, logits_to_keep=1).logits
        assert dense_calls == ([1] if kernel == 'native-cpu' else [])
    assert torch.allclose(logits['reference'], logits['native-cpu'], atol=0.02)


@needs_library
def test_a_compiled_linear_can_be_copied_and_pickled(linears):
    plain, compiled = linears()
    x = torch.randn(1, 256).bfloat16()
    for other in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        assert torch.equal(other(x), compiled(x)) and isinstance(other, nn.Linear)
    assert plain.state_dict().keys() == compiled.state_dict().keys()
