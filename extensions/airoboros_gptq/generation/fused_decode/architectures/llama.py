"""LLaMA, and what computes as it does: Mistral, Qwen2 (with biases of q, k and v), Qwen3 (with norms of queries and keys), and
their mixtures of experts; Phi-3, whose linears are joined in the file; Granite, with constants that multiply.

Source: transformers' `models/llama/modeling_llama.py`, `models/mistral/modeling_mistral.py`, `models/qwen2/modeling_qwen2.py`,
`models/qwen3/modeling_qwen3.py`, `models/mixtral/modeling_mixtral.py`, `models/qwen3_moe/modeling_qwen3_moe.py`,
`models/phi3/modeling_phi3.py`, `models/granite/modeling_granite.py`.
"""

from __future__ import annotations

from typing import Any

import torch

from .base import Architecture, LayerParts, Scales


def llama_parts(layer: Any) -> LayerParts:
    """Of a layer with the names that LLaMA gave its parts."""
    attention, mlp = layer.self_attn, layer.mlp
    is_mlp = hasattr(mlp, 'gate_proj')
    return LayerParts(
        attention_norm=layer.input_layernorm,
        qkv=(attention.q_proj, attention.k_proj, attention.v_proj),
        out=attention.o_proj,
        mlp_norm=layer.post_attention_layernorm,
        gate_up=(mlp.gate_proj, mlp.up_proj) if is_mlp else None,
        down=mlp.down_proj if is_mlp else None,
        experts=None if is_mlp else mlp,
        q_norm=getattr(attention, 'q_norm', None),
        k_norm=getattr(attention, 'k_norm', None),
    )


def _phi3_parts(layer: Any) -> LayerParts:
    return LayerParts(
        attention_norm=layer.input_layernorm,
        qkv=(layer.self_attn.qkv_proj,),
        out=layer.self_attn.o_proj,
        mlp_norm=layer.post_attention_layernorm,
        gate_up=(layer.mlp.gate_up_proj,),
        down=layer.mlp.down_proj,
    )


def _granite_scales(config: Any, dtype: torch.dtype) -> Scales:
    return Scales(config.embedding_multiplier, config.residual_multiplier, config.logits_scaling)


LLAMA = Architecture(
    decoder_layers=(
        *('LlamaDecoderLayer', 'MistralDecoderLayer', 'Qwen2DecoderLayer', 'Qwen3DecoderLayer'),
        *('MixtralDecoderLayer', 'Qwen2MoeDecoderLayer', 'Qwen3MoeDecoderLayer'),
    ),
    parts=llama_parts,
)
PHI3 = Architecture(decoder_layers=('Phi3DecoderLayer',), parts=_phi3_parts)
GRANITE = Architecture(decoder_layers=('GraniteDecoderLayer',), parts=llama_parts, scales=_granite_scales)
