"""What the fused decode step needs to know of an architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class LayerParts:
    """The modules of one decoder layer: attention and a gated MLP, each behind an RMSNorm. q_norm and k_norm norm each head; a
    post norm is an RMSNorm of what attention or the MLP adds. `experts` is a mixture in place of the MLP: a module that makes
    [1, n, K] of [1, n, K].
    """

    attention_norm: nn.Module
    qkv: tuple[nn.Module, ...]  # one linear, or three
    out: nn.Module
    mlp_norm: nn.Module
    gate_up: tuple[nn.Module, ...] | None  # one linear, or two
    down: nn.Module | None
    experts: nn.Module | None = None
    q_norm: nn.Module | None = None
    k_norm: nn.Module | None = None
    attention_post_norm: nn.Module | None = None
    mlp_post_norm: nn.Module | None = None


@dataclass(frozen=True)
class Scales:
    """Constants that the embedding and what each block adds are multiplied by; logits are divided by `logits_divisor`, then bound
    to `logits_softcap` * tanh(logits / logits_softcap) where that is not 0.
    """

    embedding: float = 1.0
    residual: float = 1.0
    logits_divisor: float = 1.0
    logits_softcap: float = 0.0


def no_scales(config: Any, dtype: torch.dtype) -> Scales:
    return Scales()


@dataclass(frozen=True)
class Architecture:
    """`decoder_layers` are class names of transformers; `activation` is that of the gated MLP, as a config names it. `scales`
    makes Scales of a config and the dtype of the embedding. `norm_offset` is added to the weight of every norm.
    """

    decoder_layers: tuple[str, ...]
    parts: Callable[[Any], LayerParts]
    activation: str = 'silu'
    scales: Callable[[Any, torch.dtype], Scales] = no_scales
    norm_offset: float = 0.0
