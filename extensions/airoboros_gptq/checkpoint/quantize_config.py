"""The quantisation settings that a model folder states. Standard library alone.

Fields by year and their synonyms: TheBloke's repositories, AutoGPTQ 0.7.1 (`auto_gptq/quantization/config.py`) and
GPTQModel's documentation of `quantize_config.json`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import GPTQError
from ..util.regular_file import is_present, read_json
from .hf_config import HFConfig, read_hf_config
from .linear_spec import BITS
from .other_formats import (
    auto_round_packing,
    check_method_is_gptq,
    holds_gptq_tensors,
    is_auto_round,
    is_refuted,
    quant_method,
)

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
FORMATS = ('gptq', 'gptq_v2')
_ALLOWED = {'bits': BITS, 'checkpoint_format': FORMATS}
_DEFAULTS = {'desc_act': False, 'sym': True, 'checkpoint_format': 'gptq', 'quant_method': 'gptq'}


@dataclass(frozen=True)
class QuantizeConfig:
    """The settings of a quantisation config, which the tensors may refute. `sources` says for each field where it was
    read, or 'default'; `notes` has a sentence for each setting that another config of the folder has otherwise.
    """

    bits: int | None = None
    group_size: int | None = None
    desc_act: bool = False
    sym: bool = True
    checkpoint_format: str = 'gptq'
    quant_method: str = 'gptq'
    model_file_base_name: str | None = None
    sources: dict[str, str] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


def find_settings(folder: Path, hf_config: HFConfig | None = None) -> Iterator[tuple[dict[str, Any], str]]:
    """The raw quantisation settings of a folder, each with the name of its file, in the order in which they count.
    `hf_config` is config.json where the caller has read it.
    """
    for name in SEARCH_ORDER[:2]:
        if is_present(folder / name):
            yield read_json(folder / name), name
    if hf_config is None:
        hf_config = read_hf_config(folder) or {}
    settings = hf_config.get('quantization_config')
    if isinstance(settings, dict):
        yield settings, SEARCH_ORDER[2]


def is_gptq_folder(folder: Path) -> bool:
    """Whether a folder holds a GPTQ model: its config says so, or, where no config names a method, its tensors do.
    Cheap: small JSON files, and a file's header where they say nothing; never raises.
    """
    try:
        if not folder.is_dir():
            return False
        settings, name = next(find_settings(folder), (None, ''))
    except (GPTQError, OSError):
        # A broken quantize_config.json still marks a GPTQ folder: loading it raises the sentence.
        return os.path.lexists(folder / SEARCH_ORDER[0]) or holds_gptq_tensors(folder)
    method = quant_method(settings) if settings is not None else None
    if method is not None:
        return method == 'gptq' or is_refuted(method, folder)
    return name in SEARCH_ORDER[:2] or holds_gptq_tensors(folder)


def parse_settings(settings: dict[str, Any], source: str) -> QuantizeConfig:
    """Raw settings, read in `source` (a path or name, for messages), as a QuantizeConfig. Raises GPTQError."""
    check_method_is_gptq(settings, source)
    settings = _as_gptq_writes_it(settings)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, keys in _SYNONYMS.items():
        key = next((k for k in keys if settings.get(k) is not None), None)
        if key is None:
            if name in _DEFAULTS:
                values[name], sources[name] = _DEFAULTS[name], 'default'
            continue
        value = settings[key]
        if name in ('checkpoint_format', 'quant_method') and isinstance(value, str):
            value = value.lower()
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


def read_quantize_config(folder: Path, hf_config: HFConfig | None = None) -> QuantizeConfig:
    """What a folder states of its quantisation; a config without settings where it has none. `hf_config` is config.json
    where the caller has read it. Raises GPTQError where a config makes no sense.
    """
    configs = find_settings(folder, hf_config)
    settings, name = next(configs, (None, ''))
    if settings is None:
        return QuantizeConfig(sources=dict.fromkeys(_DEFAULTS, 'default'))
    method, claims = quant_method(settings), []
    if is_refuted(method, folder):
        claims = [f"{name} says quant_method is {method}; the tensors are GPTQ's, and that is used."]
        settings = _without_method(settings)
    config = parse_settings(settings, name)
    try:
        notes = [n for other, source in configs for n in _differences(config, name, other, source)]
    except GPTQError as e:  # of a config that does not count; where transformers needs it too, it is an error there
        notes = [str(e)]
    return replace(config, notes=(*claims, *notes))


def _as_gptq_writes_it(settings: dict[str, Any]) -> dict[str, Any]:
    """AutoRound's settings with the method and the zero-point encoding by GPTQ's names; any other as they are."""
    if not is_auto_round(settings):
        return settings
    zeros = 'gptq_v2' if 'gptqmodel' in auto_round_packing(settings) else None
    given = settings.get('checkpoint_format')
    return {**settings, 'quant_method': 'gptq', 'checkpoint_format': given if given in FORMATS else zeros}


def _without_method(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings less all that names a method."""
    named = ('quant_method', 'method', 'is_marlin_format', 'version', 'load_in_4bit', 'load_in_8bit')
    layouts = ('checkpoint_format', 'format')
    return {k: v for k, v in settings.items() if k not in named and not (k in layouts and v not in FORMATS)}


def _differences(config: QuantizeConfig, name: str, settings: dict[str, Any], source: str) -> list[str]:
    """A sentence for each of `settings`, read in `source`, that differs from `config`, read in `name`."""
    other = parse_settings(settings, source)
    return [
        f'{source} says {key} is {getattr(other, key)}, {name} says {getattr(config, key)}; {name} comes first.'
        for key in _SYNONYMS
        if key in config.sources
        and 'default' not in (config.sources[key], other.sources.get(key, 'default'))
        and getattr(other, key) != getattr(config, key)
    ]
