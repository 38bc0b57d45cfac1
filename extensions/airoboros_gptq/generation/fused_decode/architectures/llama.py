"""LLaMA, and what computes as it does: Mistral, Qwen2 (with biases of q, k and v), Qwen3 (with norms of queries and keys), and
their mixtures of experts.

Source: transformers' `models/llama/modeling_llama.py`, `models/mistral/modeling_mistral.py`, `models/qwen2/modeling_qwen2.py`,
`models/qwen3/modeling_qwen3.py`, `models/mixtral/modeling_mixtral.py`, `models/qwen3_moe/modeling_qwen3_moe.py`.
"""

from __future__ import annotations

from typing import Any

from .base import Architecture, LayerParts


def _parts(layer: Any) -> LayerParts:
    attention, mlp = layer.self_attn, layer.mlp
    return LayerParts(
        attention_norm=layer.input_layernorm,
        q=attention.q_proj,
        k=attention.k_proj,
        v=attention.v_proj,
        out=attention.o_proj,
        mlp_norm=layer.post_attention_layernorm,
        mlp=(mlp.gate_proj, mlp.up_proj, mlp.down_proj) if hasattr(mlp, 'gate_proj') else None,
        experts=None if hasattr(mlp, 'gate_proj') else mlp,
        q_norm=getattr(attention, 'q_norm', None),
        k_norm=getattr(attention, 'k_norm', None),
    )


LLAMA = Architecture(
    decoder_layers=(
        *('LlamaDecoderLayer', 'MistralDecoderLayer', 'Qwen2DecoderLayer', 'Qwen3DecoderLayer'),
        *('MixtralDecoderLayer', 'Qwen2MoeDecoderLayer', 'Qwen3MoeDecoderLayer'),
    ),
    activation='silu',
    parts=_parts,
)
