"""What the fused decode step needs to know of an architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class LayerParts:
    """The modules of one decoder layer: pre-norm attention and a gated MLP, each behind an RMSNorm. q_norm and k_norm norm each
    head.
    """

    attention_norm: nn.Module
    q: nn.Module
    k: nn.Module
    v: nn.Module
    out: nn.Module
    mlp_norm: nn.Module
    gate: nn.Module
    up: nn.Module
    down: nn.Module
    q_norm: nn.Module | None = None
    k_norm: nn.Module | None = None


@dataclass(frozen=True)
class Architecture:
    """`decoder_layers` are class names of transformers; `activation` is config.hidden_act of the gated MLP."""

    decoder_layers: tuple[str, ...]
    activation: str
    parts: Callable[[Any], LayerParts]
