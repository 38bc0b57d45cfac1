"""How many bytes decoding one token must read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checkpoint.hf_config import kv_elements_per_token
from ..checkpoint.linear_spec import LinearSpec

_HALF = 2  # bytes of a scale, of an element of lm_head and of the cache


def bytes_per_token(specs: Mapping[str, LinearSpec], model_config: dict[str, Any], context: int) -> int:
    """Bytes that decoding a token after `context` others must read: codes, scales and zeros of all quantised linears, lm_head,
    keys and values, all floats in 16 bits. A kernel's own weight layout does not count, so that engines can be compared.
    """
    weights = sum(_linear(spec) for spec in specs.values())
    head = 0 if 'lm_head' in specs else model_config['vocab_size'] * model_config['hidden_size'] * _HALF
    return weights + head + (kv_elements_per_token(model_config) or 0) * context * _HALF


def _linear(spec: LinearSpec) -> int:
    groups = -(-spec.in_features // spec.group_size)
    codes = spec.in_features * spec.out_features * spec.bits // 8
    return codes + groups * spec.out_features * _HALF + groups * spec.out_features * spec.bits // 8
