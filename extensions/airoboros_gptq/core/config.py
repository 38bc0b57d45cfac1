"""What a model folder says of its quantisation. Standard library alone.

Fields by year and their synonyms: TheBloke's repositories, AutoGPTQ 0.7.1 (`auto_gptq/quantization/config.py`) and
GPTQModel's documentation of `quantize_config.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from .errors import GPTQError

SEARCH_ORDER = ('quantize_config.json', 'quant_config.json', 'config.json')
_SYNONYMS = {
    'bits': ('bits', 'w_bit'),
    'group_size': ('group_size', 'q_group_size'),
    'desc_act': ('desc_act',),
    'sym': ('sym',),
    'checkpoint_format': ('checkpoint_format', 'format'),
    'quant_method': ('quant_method', 'method'),
    'model_file_base_name': ('model_file_base_name',),
}
_TYPES = {'bits': int, 'group_size': int, 'desc_act': bool, 'sym': bool}
_ALLOWED = {'bits': (2, 3, 4, 8), 'checkpoint_format': ('gptq', 'gptq_v2'), 'quant_method': ('gptq',)}
_DEFAULTS = {'desc_act': False, 'sym': True, 'checkpoint_format': 'gptq', 'quant_method': 'gptq'}


@dataclass(frozen=True)
class QuantizeConfig:
    """The claims of a quantisation config. `sources` says for each field where it was read, or 'default'."""

    bits: int | None = None
    group_size: int | None = None
    desc_act: bool = False
    sym: bool = True
    checkpoint_format: str = 'gptq'
    quant_method: str = 'gptq'
    model_file_base_name: str | None = None
    sources: dict[str, str] = field(default_factory=dict, compare=False)


def read_json(path: Path) -> dict:
    """The object in a JSON file. Raises GPTQError where the file is unreadable, broken or not an object."""
    try:
        value = json.loads(path.read_text(encoding='utf-8-sig'))  # Windows editors put a byte order mark in front
    except (OSError, UnicodeDecodeError) as e:
        raise GPTQError(f'{path} cannot be read ({e}); check the file or download it again.') from e
    except (json.JSONDecodeError, RecursionError) as e:
        raise GPTQError(f'{path} is not valid JSON ({e}); download it again.') from e
    if not isinstance(value, dict):
        raise GPTQError(f'{path} holds a {type(value).__name__} where an object is expected; download it again.')
    return value


def find_claims(folder: Path) -> tuple[dict, str] | None:
    """The raw quantisation settings of a folder and the name of the file they stand in, or None."""
    for name in SEARCH_ORDER:
        path = folder / name
        if not path.is_file():
            continue
        claims = read_json(path)
        if name == 'config.json':
            claims = claims.get('quantization_config')
        if isinstance(claims, dict):
            return claims, name
    return None


def is_gptq_folder(folder: Path) -> bool:
    """Whether a folder says it holds a GPTQ model. Cheap: reads at most two small JSON files; never raises."""
    try:
        if not folder.is_dir():
            return False
        found = find_claims(folder)
    except (GPTQError, OSError):
        # A broken quantize_config.json still marks the folder as ours: our loader has the sentence for it.
        return (folder / SEARCH_ORDER[0]).is_file()
    if found is None:
        return False
    claims, name = found
    method = claims.get('quant_method', claims.get('method', 'gptq' if name != 'config.json' else None))
    return str(method).lower() == 'gptq'


def parse_claims(claims: dict, source: str) -> QuantizeConfig:
    """Claims as found in `source` (a path or name, for messages) into a QuantizeConfig."""
    values, sources = {}, {}
    for name, keys in _SYNONYMS.items():
        key = next((k for k in keys if claims.get(k) is not None), None)
        if key is None:
            if name in _DEFAULTS:
                values[name], sources[name] = _DEFAULTS[name], 'default'
            continue
        value = claims[key]
        expected = _TYPES.get(name, str)
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise GPTQError(
                f'{source} says {key} is {value!r} where a {expected.__name__} is expected; correct it or download it again.'
            )
        if name in _ALLOWED and value not in _ALLOWED[name]:
            allowed = ', '.join(map(str, _ALLOWED[name]))
            raise GPTQError(f'{source} says {key} is {value}; this loader reads {allowed}, so use another one for it.')
        values[name], sources[name] = value, source
    if values.get('group_size', 1) < 1 and values['group_size'] != -1:
        raise GPTQError(f'{source} says group_size is {values["group_size"]}; correct it, -1 means one group.')
    return QuantizeConfig(**values, sources=sources)


def read_quantize_config(folder: Path) -> QuantizeConfig:
    """What a folder claims of its quantisation; a config without claims where it has none. Raises GPTQError where a
    config makes no sense.
    """
    found = find_claims(folder)
    if found is None:
        return QuantizeConfig(sources=dict.fromkeys(_DEFAULTS, 'default'))
    claims, name = found
    return parse_claims(claims, name)
