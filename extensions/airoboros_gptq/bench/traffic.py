"""How many bytes decoding one token must read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checkpoint.hf_config import kv_elements_per_token
from ..checkpoint.linear_spec import LinearSpec

_HALF = 2  # bytes of a scale, of an element of lm_head and of the cache


def bytes_per_token(specs: Mapping[str, LinearSpec], model_config: dict[str, Any], context: int) -> int:
    """Bytes that decoding a token after `context` others must read: codes, scales and zeros of all quantised linears, lm_head,
    keys and values, all floats in 16 bits; of a mixture the experts that a token goes through. A kernel's own weight layout
    does not count, so that engines can be compared.
    """
    experts = int(model_config.get('num_experts') or model_config.get('num_local_experts') or 1)
    chosen = int(model_config.get('num_experts_per_tok') or experts)
    weights = {name: _linear(spec) for name, spec in specs.items()}
    of_experts = sum(size for name, size in weights.items() if '.experts.' in name)
    head = 0 if 'lm_head' in specs else model_config['vocab_size'] * model_config['hidden_size'] * _HALF
    return (
        sum(weights.values())
        - of_experts * (experts - chosen) // experts
        + head
        + (kv_elements_per_token(model_config) or 0) * context * _HALF
    )


def _linear(spec: LinearSpec) -> int:
    groups = -(-spec.in_features // spec.group_size)
    codes = spec.in_features * spec.out_features * spec.bits // 8
    return codes + groups * spec.out_features * _HALF + groups * spec.out_features * spec.bits // 8
