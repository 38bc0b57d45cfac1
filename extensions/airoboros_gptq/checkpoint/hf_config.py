"""config.json: reading it, what its settings are called by architecture, and values that transformers must not get.

Standard library alone. Source of the names: the configuration classes of transformers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import GPTQError
from ..util.regular_file import is_present, read_json

HFConfig = dict[str, Any]

# One setting by the names that architectures have for it, the most common first.
LAYERS_KEYS = ('num_hidden_layers', 'n_layer', 'num_layers', 'n_layers')
ATTENTION_HEADS_KEYS = ('num_attention_heads', 'n_head', 'num_heads', 'n_heads')
KV_HEADS_KEYS = ('num_key_value_heads', 'num_kv_heads', 'n_head_kv')
HIDDEN_SIZE_KEYS = ('hidden_size', 'n_embd', 'd_model')
CONTEXT_LENGTH_KEYS = ('max_position_embeddings', 'model_max_length', 'max_seq_len', 'n_positions')

# What transformers' config classes loop by, before there is a model: layers of any kind, labels, GPT-Neo's attention_types.
_LOOPED = re.compile(r'layers?(_|$)|labels$|^depth$|^attention_types$')
_MAX_LOOPED = 100_000
_WHOLE_NUMBERS = (
    *(*LAYERS_KEYS, 'hidden_size', 'max_position_embeddings', 'num_attention_heads', 'sliding_window', 'vocab_size'),
)


def read_hf_config(folder: Path) -> HFConfig | None:
    """A folder's config.json; None where there is none. Raises GPTQError where it is broken."""
    path = folder / 'config.json'
    return read_json(path) if is_present(path) else None


def text_config(config: HFConfig) -> HFConfig:
    """The settings of the language model: of a model that also sees, those nested in `text_config`."""
    nested = config.get('text_config', config.get('llm_config'))
    return nested if isinstance(nested, dict) else config


def config_dtype(config: HFConfig) -> str | None:
    """The dtype that config.json names, as 'bfloat16': that of the language model first."""
    for part in (text_config(config), config):
        for key in ('dtype', 'torch_dtype'):  # the second before transformers 4.56
            if isinstance(part.get(key), str):
                return str(part[key]).removeprefix('torch.')
    return None


def first_positive(config: HFConfig, keys: tuple[str, ...]) -> int | None:
    """The first of these settings that is a positive whole number."""
    return next((config[k] for k in keys if type(config.get(k)) is int and config[k] > 0), None)


def kv_elements_per_token(config: HFConfig) -> int | None:
    """Numbers that the KV cache holds for one token: keys and values of all layers; None where config.json does not say.

    Sliding windows are not counted: where layers look back no further than a window, a long cache is smaller.
    """
    config = text_config(config)
    layers, heads = first_positive(config, LAYERS_KEYS), first_positive(config, ATTENTION_HEADS_KEYS)
    hidden, head_dim = first_positive(config, HIDDEN_SIZE_KEYS), first_positive(config, ('head_dim',))
    if head_dim is None and hidden and heads:
        head_dim = hidden // heads
    if not (layers and heads and head_dim):
        return None
    layers = _layers_with_cache(config, layers)
    if config.get('kv_lora_rank'):  # DeepSeek's latent attention, which transformers caches spread out
        parts = [first_positive(config, (k,)) for k in ('qk_nope_head_dim', 'qk_rope_head_dim', 'v_head_dim')]
        return layers * heads * sum(n or 0 for n in parts)
    return 2 * layers * _kv_heads(config, heads) * head_dim


def _layers_with_cache(config: HFConfig, layers: int) -> int:
    """The layers that keep keys and values: of Qwen3-Next and its like every fourth, the others have a state of one size."""
    kinds = config.get('layer_types')
    if isinstance(kinds, list) and len(kinds) == layers:
        return sum('attention' in str(kind) and 'linear' not in str(kind) for kind in kinds)
    every = first_positive(config, ('full_attention_interval',))
    return layers // every if every else layers


def _kv_heads(config: HFConfig, heads: int) -> int:
    if config.get('new_decoder_architecture'):  # Falcon 40B shares heads, but caches them spread out
        return heads
    # One head for all: a flag of Falcon's and GPT-BigCode's, true where it is not written.
    if config.get('multi_query', config.get('model_type') in ('falcon', 'gpt_bigcode')):
        return 1
    if config.get('model_type') == 'falcon':
        return heads
    return first_positive(config, KV_HEADS_KEYS) or heads


def check_sizes(folder: Path, config: HFConfig, tensor_count: int) -> None:
    """Raises GPTQError where config.json has something else for a whole number, or more layers than the checkpoint has
    tensors: transformers would take it as it is and build for hours, in memory that no machine has.
    """
    path = folder / 'config.json'
    for part in (config, text_config(config)):
        for key in _WHOLE_NUMBERS:
            value = part.get(key)
            if value is not None and (type(value) is not int or abs(value) >= 2**63):  # torch's sizes are int64
                raise GPTQError(
                    f'{path} says {key} is {value!r} where a whole number that fits is expected; download it again.'
                )
            if key in LAYERS_KEYS and value is not None and value > tensor_count:
                raise GPTQError(f'{path} says {key} is {value}, more than there are tensors; download it again.')
    for key, value in _whole_numbers(config):
        if value > _MAX_LOOPED and _LOOPED.search(key):
            raise GPTQError(f'{path} says {key} is {value}, more than any model has; download it again.')


def _whole_numbers(value: Any, key: str = '') -> Iterator[tuple[str, int]]:
    """(key, number) for each in a config, at any depth; in a list under the key that the list has."""
    if type(value) is int:
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _whole_numbers(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _whole_numbers(inner, key)


# Their config classes tie embeddings and head where the config is silent.
_TIED_BY_DEFAULT = ('gemma', 'gemma2', 'gemma3_text', 'opt', 'falcon', 'gpt_bigcode', 'gpt2', 'bloom', 'mpt')


class ModelFacts(NamedTuple):
    """What config.json says that memory depends on. None is for what it does not say."""

    dtype: str | None
    kv_elements_per_token: int | None
    has_tied_head: bool


def read_facts(hf_config: HFConfig) -> ModelFacts:
    """Of config.json as it stands."""
    config = text_config(hf_config)
    default = config.get('tie_word_embeddings', config.get('model_type') in _TIED_BY_DEFAULT)
    tied = bool(hf_config.get('tie_word_embeddings', default))
    return ModelFacts(config_dtype(hf_config), kv_elements_per_token(hf_config), tied)
