"""LLaMA, and what computes as it does: Mistral, Qwen2 (with biases of q, k and v), Qwen3 (with norms of queries and keys).

Source: transformers' `models/llama/modeling_llama.py`, `models/mistral/modeling_mistral.py`, `models/qwen2/modeling_qwen2.py`,
`models/qwen3/modeling_qwen3.py`.
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
        gate=mlp.gate_proj,
        up=mlp.up_proj,
        down=mlp.down_proj,
        q_norm=getattr(attention, 'q_norm', None),
        k_norm=getattr(attention, 'k_norm', None),
    )


LLAMA = Architecture(
    decoder_layers=('LlamaDecoderLayer', 'MistralDecoderLayer', 'Qwen2DecoderLayer', 'Qwen3DecoderLayer'),
    activation='silu',
    parts=_parts,
)
