"""Experts apart, as GPTQ files hold them. transformers 5 fuses those of a layer into two 3-D parameters."""

from __future__ import annotations

import torch
from torch import nn

_WEIGHTS = {'gate_up_proj', 'down_proj'}


class SeparateExperts(nn.ModuleDict):
    """Stands where a model of transformers 5 has its fused experts, with a linear for each weight of each expert.

    `parts` names them as the file does: {'gate_up_proj': ['w1', 'w3'], 'down_proj': ['w2']}. So each of them is found by
    its name, stays quantised, and is missed where the file lacks it; fused, it would have to be dequantised.
    """

    def __init__(self, fused: nn.Module, parts: dict[str, list[str]]):
        super().__init__()
        self.parts = parts
        self.gate = fused._apply_gate  # the activation, as this model does it
        for index in range(fused.gate_up_proj.shape[0]):
            expert = nn.ModuleDict()
            for weight, names in parts.items():
                _, rows, columns = getattr(fused, weight).shape
                for name in names:
                    expert[name] = nn.Linear(columns, rows // len(names), bias=False, device='meta')
            self[str(index)] = expert

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        out = torch.zeros_like(hidden_states)
        for index in top_k_index.unique().tolist():
            rows, choice = torch.where(top_k_index == index)
            expert = self[str(index)]
            gated = self.gate(_joined(expert, self.parts['gate_up_proj'], hidden_states[rows]))
            y = _joined(expert, self.parts['down_proj'], gated) * top_k_weights[rows, choice, None]
            out.index_add_(0, rows, y.to(out.dtype))
        return out


def can_separate(fused: nn.Module, parts: dict[str, list[str]]) -> bool:
    """Whether these fused experts compute what SeparateExperts does, and `parts` names all of their weights.

    `_apply_gate` marks transformers' own kind, which it runs by any of several interchangeable implementations.
    """
    other = ('is_transposed', 'has_bias', 'has_post_expert_norm')
    return (
        hasattr(fused, '_apply_gate')
        and {name for name, _ in fused.named_parameters()} == set(parts) == _WEIGHTS
        and getattr(fused, 'is_concatenated', True)
        and not any(getattr(fused, flag, False) for flag in other)
    )


def _joined(expert: nn.ModuleDict, names: list[str], x: torch.Tensor) -> torch.Tensor:
    return torch.cat([expert[name](x) for name in names], dim=-1)
