"""Gemma, Gemma 2 and Gemma 3 (text): norms that multiply by one plus their weight, and a scaled embedding; from Gemma 2 on norms
of what a layer adds, and layers that attend to a window alone.

Source: transformers' `models/gemma/modeling_gemma.py`, `models/gemma2/modeling_gemma2.py`, `models/gemma3/modeling_gemma3.py`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from .base import Architecture, LayerParts, Scales
from .llama import llama_parts


def _parts(layer: Any) -> LayerParts:
    parts = llama_parts(layer)
    if not hasattr(layer, 'post_feedforward_layernorm'):
        return parts
    return dataclasses.replace(
        parts,
        attention_post_norm=layer.post_attention_layernorm,
        mlp_norm=layer.pre_feedforward_layernorm,
        mlp_post_norm=layer.post_feedforward_layernorm,
    )


def _scales(config: Any, dtype: torch.dtype) -> Scales:
    return Scales(
        embedding=float(torch.tensor(config.hidden_size**0.5, dtype=dtype)),  # rounded as there
        logits_softcap=getattr(config, 'final_logit_softcapping', None) or 0.0,
    )


GEMMA = Architecture(
    decoder_layers=('GemmaDecoderLayer', 'Gemma2DecoderLayer', 'Gemma3DecoderLayer'),
    parts=_parts,
    activation='gelu_pytorch_tanh',
    scales=_scales,
    norm_offset=1.0,
)
