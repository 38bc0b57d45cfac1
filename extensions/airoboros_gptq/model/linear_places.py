"""Puts a quantised linear of the file into a model: in place of a module that transformers calls as a plain linear layer, where
it stays quantised, else dequantised into the module's own weight.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from ..checkpoint.linear_spec import TENSOR_PARTS, LinearSpec
from ..errors import GPTQError
from ..kernels.linear import GPTQLinear
from ..kernels.packing import PackedLinear, dequantize
from .load_plan import LoadPlan
from .tensor_checks import cast_floats, check_finite

ReadOnto = Callable[[str, torch.device], torch.Tensor]  # a tensor by its name in the file
_IN, _OUT = 5, 3  # features of the small copy that is tried


def place_linear(
    model: nn.Module, name: str, module: str, plan: LoadPlan, read: ReadOnto, device: torch.device
) -> None:
    """Puts the quantised linear that the file calls `module` where the model has `name`. Raises GPTQError where they do not fit
    together, or a tensor cannot be what its name says.
    """
    file, spec = plan.checkpoint.name, plan.specs[module]
    old = find_place(model, name, spec, file)
    dtype = old.get_parameter('weight').dtype
    tensors = {part: f'{module}.{part}' for part in TENSOR_PARTS if f'{module}.{part}' in plan.checkpoint.tensors}
    parts = {part: read(tensor, device) for part, tensor in tensors.items()}
    bias = parts.pop('bias', None)
    check_finite(parts['scales'], tensors['scales'], file)
    if bias is not None:
        bias = cast_floats(bias, dtype, tensors['bias'], file)
    elif getattr(old, 'bias', None) is not None and 'bias' in old._parameters:
        raise GPTQError(f'{file} lacks the tensor {name}.bias; download it again.')
    packed = PackedLinear(**parts)
    if is_plain_linear(old) and not is_read_by_weight(model, name):
        parent, _, child = name.rpartition('.')
        setattr(model.get_submodule(parent), child, GPTQLinear(packed, spec, bias, plan.kernel, dtype))
        return
    weight = cast_floats(dequantize(packed, spec), dtype, name, file)
    _set_parameter(old, 'weight', weight if is_transposed(old) else weight.T.contiguous())
    if 'bias' in old._parameters and bias is not None:
        _set_parameter(old, 'bias', bias)
    elif bias is not None and bias.any():
        raise GPTQError(f'{file} holds {name}.bias, which the model has no place for; it belongs to another model.')


def find_place(model: nn.Module, name: str, spec: LinearSpec, file: str) -> nn.Module:
    """The module in whose place, or into whose weight, a quantised linear goes. Raises GPTQError where none has its size."""
    try:
        old = model.get_submodule(name)
    except AttributeError as e:
        raise GPTQError(
            f'{file} holds {name}, which a {type(model).__name__} does not have; it belongs to another model.'
        ) from e
    shape = _features(old)
    if shape != (spec.in_features, spec.out_features):
        raise GPTQError(
            f'{file} holds {name} of {spec.in_features} by {spec.out_features}, config.json asks for '
            f'{shape[0]} by {shape[1]}; one of them belongs to another model.'
        )
    return old


def _features(module: nn.Module) -> tuple[int | None, int | None]:
    """(in_features, out_features) of a module that has one weight in two dimensions; None where it has not."""
    weight = module._parameters.get('weight')
    if weight is None or weight.dim() != 2:
        return None, None
    return (weight.shape[0], weight.shape[1]) if is_transposed(module) else (weight.shape[1], weight.shape[0])


def _set_parameter(module: nn.Module, name: str, value: torch.Tensor) -> None:
    module._parameters[name] = nn.Parameter(value, requires_grad=False)


def is_plain_linear(module: nn.Module) -> bool:
    """Whether a module multiplies by its own `weight` and adds its `bias`, and nothing else: an nn.Linear, transformers' Conv1D
    of GPT-2, whose weight is transposed, and whatever computes the same. A router that answers with its choice does not.
    """
    if type(module) is nn.Linear:
        return True
    weight = module._parameters.get('weight')
    if set(module._parameters) - {'weight', 'bias'} or weight is None or module._modules:
        return False
    return weight.dim() == 2 and _computes_linear(type(module), _small_copy(module, is_transposed(module)))


def is_transposed(module: nn.Module) -> bool:
    """Whether a module's weight is [in_features, out_features]."""
    return type(module).__name__ == 'Conv1D'


def _small_copy(module: nn.Module, transposed: bool) -> nn.Module:
    small = copy.copy(module)
    small.__dict__ = dict(module.__dict__)
    generator = torch.Generator().manual_seed(0)
    shape = (_IN, _OUT) if transposed else (_OUT, _IN)
    parameters: dict[str, nn.Parameter | None] = {
        'weight': nn.Parameter(torch.randn(shape, generator=generator), requires_grad=False)
    }
    if 'bias' in module._parameters:
        has_bias = module._parameters['bias'] is not None
        parameters['bias'] = (
            nn.Parameter(torch.randn(_OUT, generator=generator), requires_grad=False) if has_bias else None
        )
    small.__dict__['_parameters'] = parameters
    sizes = {'in_features': _IN, 'nx': _IN, 'out_features': _OUT, 'nf': _OUT}
    small.__dict__.update({name: size for name, size in sizes.items() if hasattr(module, name)})
    return small


def _computes_linear(kind: type[nn.Module], small: nn.Module) -> bool:
    x = torch.randn(2, 4, _IN, generator=torch.Generator().manual_seed(1))
    weight, bias = small._parameters['weight'], small._parameters.get('bias')
    assert weight is not None
    try:
        with torch.no_grad():
            forward: Any = kind.forward
            y = forward(small, x)
    except Exception:  # its forward takes other arguments or looks at more than weight and bias
        return False
    expected = nn.functional.linear(x, weight.T if is_transposed(small) else weight, bias)
    return isinstance(y, torch.Tensor) and y.shape == expected.shape and torch.allclose(y, expected, atol=1e-5)


def is_read_by_weight(model: nn.Module, name: str) -> bool:
    """Whether the code around a module called `name` reads its `weight` and never calls it, as DeepSeek-V2 with its router."""
    *path, child = name.split('.')
    owners = ['.'.join(path[:i]) for i in range(len(path), -1, -1)]
    kinds: list[Any] = [type(model.get_submodule(owner)) for owner in owners]
    return any(child in _names_read_by_weight(kind) for kind in kinds)


@cache
def _names_read_by_weight(kind: Any) -> frozenset[str]:
    """The names before `.weight` in the source of a module's class, less those that are called there too."""
    read: set[str] = set()
    called: set[str] = set()
    for base in kind.__mro__:
        if issubclass(base, nn.Module) and not base.__module__.startswith('torch.'):
            if base.__name__ in ('PreTrainedModel', 'GenerationMixin') or base.__name__.endswith('PreTrainedModel'):
                continue  # initialises weights
            try:
                source = inspect.getsource(base)
            except (OSError, TypeError):
                continue
            read.update(re.findall(r'\bself\.(?:\w+\.)*?(\w+)\.weight\b(?!\.(?:dtype|device)\b)', source))
            called.update(re.findall(r'\bself\.(?:\w+\.)*?(\w+)\(', source))
    return frozenset(read - called)
