"""Model types by name: those of the installed transformers, and config.json brought up to date with their names.

Standard library alone: transformers' source is read, not imported. Source of the old names: the repositories named beside them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .hf_config import HFConfig

# A type that transformers has had by another name since its repository was published: (the name, settings that are named
# otherwise, settings that only the new type has).
_FALCON_KEYS = {'n_layer': 'num_hidden_layers', 'n_head': 'num_attention_heads', 'n_head_kv': 'num_kv_heads'}
RENAMED_TYPES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    'RefinedWebModel': ('falcon', _FALCON_KEYS, {}),  # tiiuae/falcon-7b
    'RefinedWeb': ('falcon', _FALCON_KEYS, {'new_decoder_architecture': True}),  # tiiuae/falcon-40b
    'phi-msft': ('phi', {}, {}),  # microsoft/phi-2
    'Yi': ('llama', {}, {}),  # 01-ai/Yi-34B
    'stablelm_epoch': ('stablelm', {}, {}),  # stabilityai/stablelm-3b-4e1t
    'aquila': ('llama', {}, {}),  # BAAI/AquilaChat-7B
    'kimi_k2': ('deepseek_v3', {}, {}),  # moonshotai/Kimi-K2-Instruct
}

# The release in which transformers got a type that 4.57 lacks. Source: modeling_auto.py in the wheels of 5.0 to 5.6.
_FIRST_RELEASES = {
    '5.0.0': 'afmoe cwm ernie4_5_vl_moe fast_vlm glm46v glm4_moe_lite jais2 lfm2_moe lighton_ocr minimax_m2 ministral3 nanochat '
    'paddleocr_vl solar_open t5gemma2 video_llama_3 video_llava',
    '5.1.0': 'exaone_moe glm_ocr youtu',
    '5.2.0': 'glm_moe_dsa qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text',
    '5.3.0': 'nemotron_h olmo_hybrid',
    '5.4.0': 'mistral4 pp_chart2table',
    '5.5.0': 'gemma4 gemma4_text',
    '5.6.0': 'hy_v3 qianfan_ocr',
}
FIRST_RELEASE = {kind: release for release, kinds in _FIRST_RELEASES.items() for kind in kinds.split()}


@lru_cache
def known_model_types(mapping: str = 'CAUSAL_LM') -> frozenset[str]:
    """The model_types in one of the installed transformers' tables, 'CAUSAL_LM' or 'IMAGE_TEXT_TO_TEXT', read from its source
    in milliseconds where importing it takes seconds. Empty where it is not installed or is written otherwise.
    """
    table = re.compile(
        rf'^MODEL_FOR_{mapping}_MAPPING_NAMES\s*=\s*OrderedDict\(\s*\[(.*?)^\s*\]\s*\)', re.M | re.S
    ).search(_auto_source())
    return frozenset(re.findall(r'\(\s*"([^"]+)"\s*,', table[1]) if table else ())


@lru_cache
def _auto_source() -> str:
    try:
        spec = find_spec('transformers')
        if spec is None or spec.origin is None:
            return ''
        return (Path(spec.origin).parent / 'models' / 'auto' / 'modeling_auto.py').read_text(encoding='utf-8')
    except (ValueError, OSError):
        return ''


def who_has_it(config: HFConfig) -> str:
    """The half sentence that says which transformers has a type that the installed one lacks: by the table, else that which wrote
    the config, unless it is no newer than the installed one, as a development version may be.
    """
    installed, saved = _installed_version(), str(config.get('transformers_version'))
    first = FIRST_RELEASE.get(str(config.get('model_type')))
    if first is not None and _numbers(first) > _numbers(installed):
        return f'transformers {first} is the first that has it (a newer webui brings it)'
    is_version = re.fullmatch(r'\d{1,3}(\.\d{1,3}){1,3}(\.?(dev|rc)\d{1,3})?', saved)
    if is_version and _numbers(saved) > _numbers(installed):
        return f'transformers {saved}, with which it was saved, may have it, or a newer one'
    return f'a transformers newer than {installed} may have it' if installed else 'a newer transformers may have it'


def _installed_version() -> str:
    try:
        return version('transformers')
    except PackageNotFoundError:
        return ''


def _numbers(release: str) -> tuple[int, ...]:
    """4.57.0.dev0 as (4, 57, 0)."""
    return tuple(int(n) for n in re.findall(r'\d+', release)[:3])


def with_native_type(config: HFConfig) -> HFConfig:
    """config.json with today's names: the type and settings that transformers has renamed. The argument stays as it is."""
    kind = config.get('model_type')
    if not isinstance(kind, str) or kind not in RENAMED_TYPES:
        return config
    native, keys, settings = RENAMED_TYPES[kind]
    renamed = {keys.get(name, name): value for name, value in config.items() if name != 'auto_map'}
    return {**settings, **renamed, 'model_type': native}


def runs_own_code(folder: Path, config: HFConfig) -> bool:
    """Whether a model comes with code of its own that it needs: its type is none of transformers', or the code is there."""
    auto_map = config.get('auto_map')
    if not isinstance(auto_map, dict) or config.get('model_type') in RENAMED_TYPES:
        return False
    if config.get('model_type') not in known_model_types() | known_model_types('IMAGE_TEXT_TO_TEXT'):
        return True
    return all(_has_code(folder, reference) for reference in auto_map.values())


def _has_code(folder: Path, reference: Any) -> bool:
    """Whether the code of an auto_map's reference, 'modeling_x.XForCausalLM', is in the folder, or in a repository named."""
    if not isinstance(reference, str):
        return True  # a tokenizer's pair of classes
    return '--' in reference or (folder / f'{reference.partition(".")[0]}.py').is_file()
