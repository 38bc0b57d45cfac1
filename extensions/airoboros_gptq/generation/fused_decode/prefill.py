"""A prompt through the model of a DecodePlan: matmuls on joined linears, and between them one kernel where transformers has
several operations (prefill_kernels.py).

Source of the formulas: transformers' `models/llama/modeling_llama.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right

from ...kernels.triton.permute import permute_columns
from .prefill_kernels import apply_rope, gated, rms_norm

Attend = Callable[[int, torch.Tensor], torch.Tensor]


def prefill(plan, ids: torch.Tensor, cache, length: int) -> torch.Tensor:
    """Hidden states [1, n, K] of ids [1, n], normed for the head, on a cache that holds `length` tokens and is given n more."""
    count = ids.shape[1]

    def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
        queries, keys = apply_rope(qkv, plan.layers[layer], plan, length)
        values = qkv[:, plan.heads + plan.kv_heads :].transpose(0, 1)
        keys, values = cache.update(keys[None], values[None], layer)
        attended = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None],
            keys,
            values,
            attn_mask=causal_lower_right(count, length + count) if length else None,
            is_causal=not length,
            scale=plan.scale,
            enable_gqa=plan.heads != plan.kv_heads,
        )
        return attended[0].transpose(0, 1).reshape(count, -1)

    return through_layers(plan, ids[0], attend)[None]


def through_layers(plan, ids: torch.Tensor, attend: Attend) -> torch.Tensor:
    """Hidden states [n, K] of ids [n], normed for the head. attend(i, qkv) makes [n, heads * dim] of the queries, keys and values
    [n, heads + 2 * kv_heads, dim] of layer i, which are not rotated yet.
    """
    scales = plan.scales
    hidden = F.embedding(ids, plan.embedding)
    if scales.embedding != 1:
        hidden = hidden * scales.embedding
    for i, layer in enumerate(plan.layers):
        qkv = layer.qkv.forward_batch(rms_norm(hidden, layer.attention_norm, plan.epsilon, layer.qkv.order))
        attended = attend(i, qkv.view(len(ids), plan.heads + 2 * plan.kv_heads, plan.head_dim))
        _add_branch_(hidden, layer.out, permute_columns(attended, layer.out.order), layer.attention_post_norm, plan)
        if layer.experts is not None:
            experts = layer.experts(rms_norm(hidden, layer.mlp_norm, plan.epsilon, None)[None])[0]
            hidden.add_(experts, alpha=scales.residual)
        else:
            normed = rms_norm(hidden, layer.mlp_norm, plan.epsilon, layer.gate_up.order)
            activated = gated(layer.gate_up.forward_batch(normed), plan.activation)
            _add_branch_(hidden, layer.down, activated, layer.mlp_post_norm, plan)
    return rms_norm(hidden, plan.final_norm, plan.epsilon, None)


def _add_branch_(hidden: torch.Tensor, linear, x: torch.Tensor, post_norm: torch.Tensor | None, plan) -> None:
    """hidden [n, N] += linear(x), scaled and normed as the architecture has it."""
    if post_norm is None and plan.scales.residual == 1:
        linear.add_batch_(hidden, x)
        return
    y = linear.forward_batch(x)
    if post_norm is not None:
        y = rms_norm(y, post_norm, plan.epsilon, None)
    hidden.add_(y, alpha=plan.scales.residual)
