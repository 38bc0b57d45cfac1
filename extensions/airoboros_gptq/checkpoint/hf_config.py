"""Claims of config.json that transformers takes without a look and then fails on, or never ends with. Standard library
alone.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import GPTQError

_LAYERS = ('num_hidden_layers', 'n_layer', 'n_layers', 'num_layers')
_WHOLE = (*_LAYERS, 'hidden_size', 'max_position_embeddings', 'num_attention_heads', 'sliding_window', 'vocab_size')


def read_json(path: Path) -> dict:
    """The object in a JSON file. Raises GPTQError where the file is unreadable, broken or not an object."""
    try:
        value = json.loads(path.read_text(encoding='utf-8-sig'))  # Windows editors put a byte order mark in front
    except (OSError, UnicodeDecodeError) as e:
        raise GPTQError(f'{path} cannot be read ({e}); check the file or download it again.') from e
    except (ValueError, RecursionError) as e:  # a number of thousands of digits is a plain ValueError
        raise GPTQError(f'{path} is not valid JSON ({e}); download it again.') from e
    if not isinstance(value, dict):
        raise GPTQError(f'{path} holds a {type(value).__name__} where an object is expected; download it again.')
    return value


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
