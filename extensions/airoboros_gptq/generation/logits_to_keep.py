"""forward()'s argument for how many of the last tokens' logits are needed: it has had two names in transformers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

LOGITS_TO_KEEP = ('logits_to_keep', 'num_logits_to_keep')  # since transformers 4.50, and before


def requested(arguments: Mapping[str, Any]) -> Any:
    """Its value among a call's keyword arguments: a number of tokens, 0 for all (the default), or a tensor of indices."""
    return next((arguments[name] for name in LOGITS_TO_KEEP if arguments.get(name) is not None), 0)


def last_only(model_class: Any) -> dict[str, int]:
    """Keyword arguments by which forward() of a model class computes the last token's logits alone."""
    parameters = inspect.signature(model_class.forward).parameters
    return {name: 1 for name in LOGITS_TO_KEEP if name in parameters}
