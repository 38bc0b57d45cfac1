"""Separate experts, as GPTQ files hold them. transformers 5 fuses the experts of a layer into two 3-D parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

_FUSED_WEIGHTS = {'gate_up_proj', 'down_proj'}
# Variants of fused experts that compute something else.
_UNKNOWN_VARIANTS = ('is_transposed', 'has_bias', 'has_post_expert_norm')


class SeparateExperts(nn.ModuleDict):
    """Takes the place of a layer's fused experts, with an nn.Linear for each weight of each expert.

    `parts` names them as the file does: {'gate_up_proj': ['w1', 'w3'], 'down_proj': ['w2']}. So each is found by its name,
    stays quantised, and is missed where the file lacks it; fused experts would have to be dequantised.
    """

    def __init__(self, fused: nn.Module, parts: dict[str, list[str]]) -> None:
        super().__init__()
        self.parts = parts
        self.apply_gate: Callable[[torch.Tensor], torch.Tensor] = fused._apply_gate  # type: ignore[assignment]
        shapes = {weight: fused.get_parameter(weight).shape for weight in parts}  # [experts, out_features, in_features]
        for index in range(shapes['gate_up_proj'][0]):
            expert = nn.ModuleDict()
            for weight, names in parts.items():
                _, out_features, in_features = shapes[weight]
                for name in names:
                    expert[name] = nn.Linear(in_features, out_features // len(names), bias=False, device='meta')
            self[str(index)] = expert

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """hidden_states [tokens, hidden], the experts of each token [tokens, k] and their weights [tokens, k] to
        [tokens, hidden], as transformers' fused experts.
        """
        out = torch.zeros_like(hidden_states)
        for index in top_k_index.unique().tolist():
            token, choice = torch.where(top_k_index == index)
            gated = self.apply_gate(self._project(index, 'gate_up_proj', hidden_states[token]))
            y = self._project(index, 'down_proj', gated) * top_k_weights[token, choice, None]
            out.index_add_(0, token, y.to(out.dtype))
        return out

    def _project(self, expert: int, weight: str, x: torch.Tensor) -> torch.Tensor:
        linears = self.get_submodule(str(expert))
        return torch.cat([linears.get_submodule(name)(x) for name in self.parts[weight]], dim=-1)


def can_separate(fused: nn.Module, parts: dict[str, list[str]]) -> bool:
    """Whether these fused experts compute what SeparateExperts does, and `parts` names all of their weights.

    `_apply_gate` marks transformers' own kind, which it runs by any of several interchangeable implementations.
    """
    return (
        hasattr(fused, '_apply_gate')
        and {name for name, _ in fused.named_parameters()} == set(parts) == _FUSED_WEIGHTS
        and getattr(fused, 'is_concatenated', True)
        and not any(getattr(fused, flag, False) for flag in _UNKNOWN_VARIANTS)
    )
