"""Architectures whose decode step is fused, one file each: where a decoder layer's parts are, and what it computes.

A new architecture is a new file here and its entry in ARCHITECTURES.
"""

from __future__ import annotations

from torch import nn

from .base import Architecture
from .gemma import GEMMA
from .llama import GRANITE, LLAMA, PHI3

ARCHITECTURES = (LLAMA, PHI3, GRANITE, GEMMA)


def architecture_of(layers: list[nn.Module]) -> Architecture | None:
    """The architecture that all of these decoder layers belong to; None where there is none."""
    names = {type(layer).__name__ for layer in layers}
    return next((a for a in ARCHITECTURES if names and names <= set(a.decoder_layers)), None)
