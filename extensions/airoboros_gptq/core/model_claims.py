"""Claims of config.json that transformers takes without a look and then fails on, or never ends with. Standard library
alone.
"""

from __future__ import annotations

from pathlib import Path

from .config import read_json
from .errors import GPTQError

_LAYERS = ('num_hidden_layers', 'n_layer', 'n_layers', 'num_layers')
_WHOLE = (*_LAYERS, 'hidden_size', 'max_position_embeddings', 'num_attention_heads', 'sliding_window', 'vocab_size')


def refuse_senseless_claims(folder: Path, tensors: int) -> None:
    """Raises GPTQError where config.json has something else for a whole number, or more layers than the checkpoint has
    `tensors`: transformers would build at them for hours, in memory that nobody has.
    """
    path = folder / 'config.json'
    claims = read_json(path) if path.is_file() else {}
    nested = claims.get('text_config')
    for part in (claims, nested if isinstance(nested, dict) else {}):
        for key in _WHOLE:
            value = part.get(key)
            if value is not None and (type(value) is not int or abs(value) >= 2**63):  # as much as torch can take
                raise GPTQError(
                    f'{path} says {key} is {value!r} where a whole number that fits is expected; download it again.'
                )
            if key in _LAYERS and value is not None and value > tensors:
                raise GPTQError(f'{path} says {key} is {value}, more than there are tensors; download it again.')
