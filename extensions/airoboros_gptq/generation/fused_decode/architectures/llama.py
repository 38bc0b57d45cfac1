"""LLaMA, and what computes as it does: Mistral, Qwen2 (with biases of q, k and v).

Source: transformers' `models/llama/modeling_llama.py`, `models/mistral/modeling_mistral.py`, `models/qwen2/modeling_qwen2.py`.
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
    )


LLAMA = Architecture(
    decoder_layers=('LlamaDecoderLayer', 'MistralDecoderLayer', 'Qwen2DecoderLayer'), activation='silu', parts=_parts
)
