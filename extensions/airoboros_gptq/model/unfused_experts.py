"""Separate experts, as GPTQ files hold them, where transformers has those of a layer fused in 3-D parameters.

Each weight of each expert becomes a linear of its own, which is found by its name, stays quantised, is read only when its expert
is chosen, and is missed where the file lacks it. transformers' usual kind of experts is replaced by SeparateExperts; any other
keeps its forward(), and its parameters are replaced by expert_weights.ExpertWeights.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from ..checkpoint.linear_spec import LinearSpec
from ..checkpoint.tensor_info import TensorInfo
from ..errors import GPTQError
from .expert_weights import ExpertWeights
from .grouped_experts import GroupedExperts, find_addresses

# What fused experts call the chosen experts, and their weights.
_INDEX, _WEIGHTS = ('top_k_index', 'router_indices'), ('top_k_weights', 'routing_weights')
_BEFORE_5 = ('GptOssExperts', 'Qwen3VLMoeTextExperts')  # fused in transformers 4, where on a GPU all experts run


@dataclass(frozen=True)
class ExpertPart:
    """`module` of the file is `part` of one expert in the fused `parameter` of the model, which consists of `parts`."""

    module: str
    parameter: str
    expert: int
    part: str
    parts: tuple[str, ...]


_Gate = Callable[[torch.Tensor], torch.Tensor]


class SeparateExperts(nn.ModuleDict):
    """Takes the place of a layer's fused experts, with an nn.Linear for each weight of each expert.

    `parts` names them as the file does: {'gate_up_proj': ['w1', 'w3'], 'down_proj': ['w2']}; without a gate the first is
    'up_proj'. Biases that the file has fused stay parameters; with a linear's own they are left out.
    """

    def __init__(self, fused: nn.Module, parts: dict[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.parts = parts
        self.first, self.last = parts
        self.apply_gate = _gate_of(fused)
        self.signature = inspect.signature(fused.forward)
        self.interleaved = len(parts[self.first]) > 1 and _is_interleaved(self.apply_gate)
        self._grouped: GroupedExperts | None = None
        self._addresses: list[int] | None = None  # of what _grouped was made of
        for name, parameter in fused.named_parameters(recurse=False):
            if name.endswith('_bias'):
                self.register_parameter(name, parameter)

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        """hidden_states [tokens, hidden], the experts of each token [tokens, k] and their weights [tokens, k], or those of all
        experts [tokens, experts], to [tokens, hidden]. Order and names of the arguments are those of the fused experts.
        """
        given = self.signature.bind(*args, **kwargs).arguments
        hidden_states = given['hidden_states']
        index, weights = (next(given[n] for n in names if n in given) for names in (_INDEX, _WEIGHTS))
        rows = hidden_states.reshape(-1, hidden_states.shape[-1])
        weights = weights if weights.shape == index.shape else weights.gather(1, index)
        return self._run(rows, index, weights).view(hidden_states.shape)

    @property
    def chooses_on_cpu(self) -> bool:
        """Whether a call asks the GPU which experts were chosen, so that no CUDA graph can hold it."""
        return self._find_grouped() is None

    def _find_grouped(self) -> GroupedExperts | None:
        experts: list[Any] = list(self._modules.values())
        names = [*self.parts[self.first], *self.parts[self.last]]
        addresses = find_addresses(linears._modules[name] for linears in experts for name in names)
        if addresses != self._addresses:
            self._addresses = addresses
            first, last = (
                [[linears._modules[name] for name in self.parts[side]] for linears in experts]
                for side in (self.first, self.last)
            )
            self._grouped = None if not addresses else GroupedExperts.of(first, last)
        return self._grouped

    def _run(self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor) -> torch.Tensor:
        grouped = self._find_grouped()
        if grouped is not None and grouped.serves(hidden_states, top_k_index):
            biases = [self._parameters.get(f'{side}_bias') for side in (self.first, self.last)]
            return grouped.run(hidden_states, top_k_index, top_k_weights, self.apply_gate, self.interleaved, biases)
        out = torch.zeros_like(hidden_states)
        if len(hidden_states) == 1:  # one token: nothing is gathered
            for choice, index in enumerate(top_k_index[0].tolist()):
                if index < self.count:
                    out += (self._expert(index, hidden_states) * top_k_weights[:, choice, None]).to(out.dtype)
            return out
        for index in top_k_index.unique().tolist():
            if index < self.count:  # beyond: no expert
                token, place = torch.where(top_k_index == index)
                y = self._expert(index, hidden_states[token]) * top_k_weights[token, place, None]
                out.index_add_(0, token, y.to(out.dtype))
        return out

    @property
    def count(self) -> int:
        """Experts of the layer."""
        return len(self._modules)

    def _expert(self, index: int, x: torch.Tensor) -> torch.Tensor:
        return self._project(index, self.last, self.apply_gate(self._project(index, self.first, x)))

    def _project(self, expert: int, weight: str, x: torch.Tensor) -> torch.Tensor:
        linears = self.get_submodule(str(expert))
        found = [linears.get_submodule(name)(x) for name in self.parts[weight]]
        y = torch.stack(found, -1).flatten(-2) if self.interleaved else torch.cat(found, -1)
        bias = self._parameters.get(f'{weight}_bias')
        return y if bias is None else y + bias[expert]


def _gate_of(fused: nn.Module) -> _Gate:
    """What fused experts put between their two products."""
    module: Any = fused
    if not getattr(fused, 'has_gate', True):
        return functools.partial(module.act_fn)  # as a module it would be counted among the experts
    if hasattr(fused, '_apply_gate'):
        return cast(_Gate, module._apply_gate)
    if hasattr(fused, 'limit'):
        return functools.partial(_clamped_swiglu, alpha=module.alpha, limit=module.limit)
    return functools.partial(_gated, act_fn=module.act_fn)


def _gated(gate_up: torch.Tensor, act_fn: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return act_fn(gate) * up


def _clamped_swiglu(gate_up: torch.Tensor, alpha: float, limit: float) -> torch.Tensor:
    """gpt-oss's gate (OpenAI's gpt_oss/torch/model.py), whose inputs alternate."""
    gate, up = gate_up[..., ::2].clamp(max=limit), gate_up[..., 1::2].clamp(-limit, limit)
    return (up + 1) * gate * torch.sigmoid(alpha * gate)


def separate_experts(
    model: nn.Module,
    parts: list[ExpertPart],
    tensors: Mapping[str, TensorInfo],
    specs: Mapping[str, LinearSpec],
    file: str,
) -> dict[str, str]:
    """Takes the fused experts apart into which `parts` of the file go: {module of the file: module of the model}.

    Raises GPTQError where a quantised part belongs to experts that cannot be taken apart.
    """
    places: dict[str, str] = {}
    owners: dict[str, list[ExpertPart]] = {}
    for part in parts:
        owners.setdefault(part.parameter.rpartition('.')[0], []).append(part)
    for owner, found in owners.items():
        fused = model.get_submodule(owner)
        dtype = next(fused.parameters()).dtype
        names = {p.parameter.rpartition('.')[2]: p.parts for p in sorted(found, key=lambda p: -len(p.parts))}
        if can_separate(fused, names):
            holder: nn.Module = SeparateExperts(fused, _in_order(names))
            parent, _, child = owner.rpartition('.')
            setattr(model.get_submodule(parent), child, holder)
        elif all(_is_fused(fused, name) for name in names):
            holder = fused
            for name, consists_of in names.items():
                ExpertWeights.replace(fused, name, consists_of)
            fused.chooses_on_cpu = True  # type: ignore[assignment]
        else:
            lost = next((p.module for p in found if p.module in specs), None)
            if lost is not None:
                raise GPTQError(
                    f'{file} holds {lost} by itself, which the installed transformers keeps within {owner}; '
                    'use transformers 4 for it.'
                )
            continue
        places |= _add_linears(holder, owner, found, tensors, specs, dtype)
    return places


def can_separate(fused: nn.Module, parts: dict[str, tuple[str, ...]]) -> bool:
    """Whether these fused experts compute what SeparateExperts does, and `parts` names all of their weights.

    `_apply_gate` marks transformers' own kind, which it runs by any of several interchangeable implementations.
    """
    weights = {name for name, _ in fused.named_parameters() if not name.endswith('_bias')}
    first = 'gate_up_proj' if getattr(fused, 'has_gate', True) else 'up_proj'
    return (
        (hasattr(fused, '_apply_gate') or type(fused).__name__ in _BEFORE_5)
        and weights == set(parts) == {first, 'down_proj'}
        and not getattr(fused, 'has_post_expert_norm', False)
    )


def _in_order(parts: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return dict(sorted(parts.items(), key=lambda item: item[0] == 'down_proj'))


def _is_fused(module: nn.Module, name: str) -> bool:
    """Whether a parameter holds the weights of all experts: 3-D, or, as DBRX has it, side by side."""
    parameter = module._parameters.get(name)
    return parameter is not None and (parameter.dim() == 3 or hasattr(module, 'moe_num_experts'))


def _is_interleaved(apply_gate: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Whether the outputs of gate and up alternate in what the gate function takes, as in gpt-oss: its first output then looks at
    the second input.
    """
    x = torch.ones(1, 8)
    other = x.clone()
    other[0, 1] = 0.5
    with torch.no_grad():
        return bool((apply_gate(x) != apply_gate(other))[0, 0])


def _add_linears(
    holder: nn.Module,
    owner: str,
    parts: list[ExpertPart],
    tensors: Mapping[str, TensorInfo],
    specs: Mapping[str, LinearSpec],
    dtype: torch.dtype,
) -> dict[str, str]:
    """Gives `holder` an empty nn.Linear for each part of each expert, of the size that the file has: {module of the file: its
    place}. Experts that the file lacks get theirs too, and are missed when they are left without weights.
    """
    count = max(p.expert for p in parts) + 1
    sizes = {p.part: _size(p.module, tensors, specs) for p in parts}
    if hasattr(holder, 'moe_num_experts'):
        count = max(count, int(holder.moe_num_experts))  # type: ignore[arg-type]
    for index in range(count):
        linears = {
            name: nn.Linear(*sizes[name], bias=False, device='meta', dtype=dtype)
            for consists_of in dict.fromkeys(p.parts for p in parts)
            for name in consists_of
            if name in sizes
        }
        holder.add_module(str(index), nn.ModuleDict(linears))
    if any(f'{p.module}.bias' in tensors for p in parts):
        for name in {p.parameter.rpartition('.')[2] for p in parts if f'{p.module}.bias' in tensors}:
            _drop_bias(holder, f'{name}_bias')
    return {p.module: f'{owner}.{p.expert}.{p.part}' for p in parts}


def _drop_bias(holder: nn.Module, name: str) -> None:
    """Leaves a fused bias to the linears, which have their own."""
    parameter = holder._parameters.get(name)
    if parameter is not None:
        if isinstance(holder, SeparateExperts):
            del holder._parameters[name]
        else:
            holder._parameters[name] = nn.Parameter(torch.zeros(parameter.shape), requires_grad=False)


def _size(module: str, tensors: Mapping[str, TensorInfo], specs: Mapping[str, LinearSpec]) -> tuple[int, int]:
    """(in_features, out_features) of a linear of the file."""
    if module in specs:
        return specs[module].in_features, specs[module].out_features
    out_features, in_features = tensors[f'{module}.weight'].shape
    return in_features, out_features
