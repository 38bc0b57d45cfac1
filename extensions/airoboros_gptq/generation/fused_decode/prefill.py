"""Many tokens at once through the model of a plan (decoding_plan.py): PyTorch's matmuls on joint linears, and between them one
kernel where transformers has several operations (rows.py).

Source of the formulas: transformers' `models/llama/modeling_llama.py`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right

from ...kernels.triton.permute import permute_columns
from . import prefill_kernels as rows


def prefill(plan, ids: torch.Tensor, cache, length: int) -> torch.Tensor:
    """Hidden states [1, n, K] of ids [1, n], normed for the head, on a cache that holds `length` tokens and takes n more."""
    count = ids.shape[1]
    hidden = F.embedding(ids[0], plan.embedding)
    for i, layer in enumerate(plan.layers):
        qkv = layer.qkv.many(rows.norm(hidden, layer.first_norm, plan.epsilon, layer.qkv.order))
        qkv = qkv.view(count, plan.heads + 2 * plan.kv_heads, plan.head_dim)
        queries, keys = rows.rotate(qkv, plan.cosine, plan.sine, length, plan.heads, plan.kv_heads)
        values = qkv[:, plan.heads + plan.kv_heads :].transpose(0, 1)
        keys, values = cache.update(keys[None], values[None], i)
        mixed = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None],
            keys,
            values,
            attn_mask=causal_lower_right(count, length + count) if length else None,
            is_causal=not length,
            scale=plan.scale,
            enable_gqa=plan.heads != plan.kv_heads,
        )
        mixed = mixed[0].transpose(0, 1).reshape(count, -1)
        layer.out.add_many(hidden, permute_columns(mixed, layer.out.order))
        normed = rows.norm(hidden, layer.second_norm, plan.epsilon, layer.gate_up.order)
        layer.down.add_many(hidden, rows.gate(layer.gate_up.many(normed)))
    return rows.norm(hidden, plan.last_norm, plan.epsilon, None)[None]
