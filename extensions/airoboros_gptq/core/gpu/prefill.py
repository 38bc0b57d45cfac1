"""Many tokens at once through the model of a plan (decoding_plan.py): few, large operations of PyTorch on joint linears.

Source of the formulas: transformers' `models/llama/modeling_llama.py`; what differs is that q, k and v, and gate and up, are
one matmul each, and that no module stands between the operations.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right


def prefill(plan, ids: torch.Tensor, cache, length: int) -> torch.Tensor:
    """Hidden states [1, n, K] of ids [1, n], normed for the head, on a cache that holds `length` tokens and takes n more."""
    count = ids.shape[1]
    hidden = F.embedding(ids, plan.embedding)
    cosine, sine = (t[length : length + count, None].to(hidden.dtype) for t in (plan.cosine, plan.sine))
    rotated = plan.heads + plan.kv_heads
    for i, layer in enumerate(plan.layers):
        normed = _norm(hidden, layer.first_norm, plan.epsilon)
        qkv = layer.qkv.many(normed).view(count, rotated + plan.kv_heads, plan.head_dim)
        turned = _rotate(qkv[:, :rotated], cosine, sine)
        queries, keys, values = (
            part.transpose(0, 1)[None] for part in (turned[:, : plan.heads], turned[:, plan.heads :], qkv[:, rotated:])
        )
        keys, values = cache.update(keys, values, i)
        mixed = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=causal_lower_right(count, length + count) if length else None,
            is_causal=not length,
            scale=plan.scale,
            enable_gqa=plan.heads != plan.kv_heads,
        )
        hidden = hidden + layer.out.many(mixed[0].transpose(0, 1).reshape(1, count, -1))
        gate, up = layer.gate_up.many(_norm(hidden, layer.second_norm, plan.epsilon)).chunk(2, dim=-1)
        hidden = hidden + layer.down.many(F.silu(gate).mul_(up))
    return _norm(hidden, plan.last_norm, plan.epsilon)


def _norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    return F.rms_norm(x, weight.shape, weight, epsilon)


def _rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """x [n, heads, dim], cosine and sine [n, 1, dim]."""
    half = x.shape[-1] // 2
    turned = x * cosine
    turned[..., :half].addcmul_(x[..., half:], sine[..., :half], value=-1)
    turned[..., half:].addcmul_(x[..., :half], sine[..., half:])
    return turned
