"""Names for types that no annotation of a library has."""

from __future__ import annotations

from typing import Any, TypeAlias

# A causal language model of transformers: nn.Module declares each of its attributes as Tensor | Module.
TransformersModel: TypeAlias = Any
