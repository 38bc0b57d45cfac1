"""The rotary embedding of a model for every position."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from .fused_linear import CannotFuse


class RotaryTables:
    """Cosine and sine, fp32 [positions, head_dim], for every position that the config allows; one pair for all layers that share
    it.
    """

    def __init__(self, body: Any, head_dim: int, config: Any):
        if getattr(body, 'rotary_emb', None) is None:
            raise CannotFuse('its rotary embedding is not a module of its body')
        self._body, self._head_dim = body, head_dim
        device = body.embed_tokens.weight.device
        self._like = torch.zeros(1, dtype=torch.float32, device=device)
        self._positions = torch.arange(config.max_position_embeddings, device=device)[None]
        self._tables: dict[object, tuple[torch.Tensor, torch.Tensor]] = {}

    def of(self, layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Those of a layer. Raises CannotFuse where a part of each head is not rotated."""
        body, rotary = self._body, self._body.rotary_emb
        kind: object = None
        arguments: tuple[Any, ...] = ()
        if hasattr(body, 'rotary_emb_local'):  # Gemma 3 in transformers 4
            kind = bool(layer.self_attn.is_sliding)
            rotary = body.rotary_emb_local if kind else rotary
        elif 'layer_type' in inspect.signature(rotary.forward).parameters:
            kind = layer.self_attn.layer_type
            arguments = (kind,)
        if kind not in self._tables:
            cos, sin = rotary(self._like, self._positions, *arguments)
            if cos.shape[-1] != self._head_dim:
                raise CannotFuse('it rotates a part of each head')
            self._tables[kind] = cos[0].float().contiguous(), sin[0].float().contiguous()
        return self._tables[kind]
