"""`weight` of a quantised linear: read as any weight is, never written, and nothing is kept of it."""

import copy
import pickle

import pytest
import torch
from airoboros_gptq import GPTQError
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.lazy_weight import LazyWeight
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import dequantize
from random_linears import random_packed
from torch import nn
from torch.nn import functional as F

SPEC = LinearSpec(128, 64, 4, 32, True)


@pytest.fixture
def linear():
    return GPTQLinear(random_packed(SPEC), SPEC, torch.randn(64), kernel='reference')


@pytest.fixture
def weight():
    """The dequantised weight [64, 128] of what random_packed makes."""
    return dequantize(random_packed(SPEC), SPEC).T.float().contiguous()


READS = {
    'sum': lambda w: w.sum(),
    'norm of columns': lambda w: torch.linalg.norm(w, dim=1),
    'svd': lambda w: torch.linalg.svd(w.data.to(torch.float32), full_matrices=False)[1],
    'plus': lambda w: w + 1,
    'transposed row': lambda w: w.T[3] + 0,
    'slice of a view': lambda w: w.view(-1)[7:100:3].clone(),
    'parts': lambda w: torch.cat([part * 2 for part in w.chunk(3)]),
    'detached': lambda w: w.detach().clone(),
    'cast': lambda w: w.double() + 0,
    'numpy': lambda w: torch.from_numpy(w.numpy()),
    'list': lambda w: torch.tensor(w.tolist()),
    'number': lambda w: torch.tensor(w[3, 5].item()),
    'deep copy': copy.deepcopy,
    'pickled': lambda w: pickle.loads(pickle.dumps(w)),
    'copied into another': lambda w: torch.empty(w.shape).copy_(w),
    'linear': lambda w: F.linear(torch.ones(2, 128), w),
}


@pytest.mark.parametrize('read', READS)
@pytest.mark.parametrize('mode', [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_what_is_read_is_the_dequantised_weight(linear, weight, read, mode):
    with mode():
        got = READS[read](linear.weight)
    assert type(got) is torch.Tensor
    assert torch.allclose(got, READS[read](weight), atol=1e-6, rtol=1e-5)


def test_shape_dtype_and_device_cost_nothing(linear, monkeypatch):
    monkeypatch.setattr(GPTQLinear, 'dequantize', lambda self: pytest.fail('it was dequantised'))
    w = linear.weight
    assert (w.shape, w.dtype, w.device, w.ndim, w.numel()) == ((64, 128), torch.float32, torch.device('cpu'), 2, 8192)
    assert w.T.shape == (128, 64) and w.is_contiguous() and not w.requires_grad and 'LazyWeight' in repr(w)
    linear.half()
    assert linear.weight.dtype == torch.float16


WRITES = {
    'data': lambda linear: setattr(linear.weight, 'data', torch.ones(64, 128)),
    'data in place': lambda linear: linear.weight.data.add_(1),
    'view': lambda linear: linear.weight.T.copy_(torch.ones(128, 64)),
    'element': lambda linear: linear.weight.__setitem__((0, 0), 1),
    'part': lambda linear: linear.weight.chunk(2)[1].zero_(),
    'initialised': lambda linear: nn.init.normal_(linear.weight),
    'out': lambda linear: torch.add(torch.ones(64, 128), 1, out=linear.weight),
    'several': lambda linear: torch._foreach_add_([linear.weight], 1),
    'reset': lambda linear: linear.reset_parameters(),
    'a parameter': lambda linear: setattr(linear, 'weight', nn.Parameter(torch.ones(64, 128))),
    'a tensor': lambda linear: setattr(linear, 'weight', torch.ones(64, 128)),
}


@pytest.mark.parametrize('write', WRITES)
def test_it_cannot_be_written(linear, weight, write):
    with pytest.raises(GPTQError, match=r'^The weight of a quantised linear cannot be written, only read: choose'):
        WRITES[write](linear)
    assert torch.equal(linear.weight + 0, weight)


@pytest.mark.parametrize(
    'train', [nn.Parameter, lambda w: w.requires_grad_(), lambda w: setattr(w, 'requires_grad', True)]
)
def test_it_cannot_be_trained(linear, train):
    with pytest.raises(GPTQError, match=r'^The weight of a quantised linear cannot be trained: train an adapter'):
        train(linear.weight)


@pytest.mark.parametrize('use', [torch.Tensor.data_ptr, torch.Tensor.untyped_storage])
def test_a_kernel_that_wants_its_memory_is_told(linear, use):
    with pytest.raises(GPTQError, match='has no memory'):
        use(linear.weight)


def test_it_is_no_parameter(linear):
    assert [name for name, _ in linear.named_parameters()] == ['bias']
    assert linear.requires_grad_(False) is linear and not linear.bias.requires_grad


def test_nothing_is_kept_for_the_backward_pass(linear, weight):
    kept = []
    x = torch.randn(2, 128, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = F.linear(x, linear.weight)
    assert kept and all(isinstance(t, LazyWeight) for t in kept if t.numel() == weight.numel())
    y.sum().backward()
    assert torch.allclose(x.grad, weight.sum(0).expand(2, -1), atol=1e-4)


def test_a_copy_of_the_linear_alone_is_an_ordinary_one(linear):
    """Which peft makes to train it, for modules_to_save; of a model it is another quantised one."""
    x = torch.randn(3, 128)
    alone, among = copy.deepcopy(linear), copy.deepcopy(nn.Sequential(linear))[0]
    assert type(alone) is nn.Linear and type(among) is GPTQLinear
    assert torch.allclose(alone(x), linear(x), atol=1e-4) and torch.equal(among(x), linear(x))
    alone.weight.requires_grad_()
    alone(x).sum().backward()
