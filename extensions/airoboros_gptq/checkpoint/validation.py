"""Whether a folder can be loaded, as far as its configs and tensor names show. Standard library alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import GPTQError
from ..util.regular_file import is_present, read_json
from .hf_config import HFConfig, check_sizes
from .linear_spec import TENSOR_PARTS
from .tensor_info import TensorInfo

LLAMA_TOKENIZERS = ('LlamaTokenizer', 'LlamaTokenizerFast', 'LLaMATokenizer')
_LLAMA_FILES = ('tokenizer.json', 'tokenizer.model')
# What the tokenizers of other families are kept in.
_OTHER_FILES = ('vocab.json', 'vocab.txt', 'vocab', 'spiece.model', 'sentencepiece.bpe.model', 'merges.txt')
_TEKKEN = ('tekken.json', '*.tiktoken', 'tiktoken.model')
_CAUSAL_LMS = re.compile(r'^MODEL_FOR_CAUSAL_LM_MAPPING_NAMES\s*=\s*OrderedDict\(\s*\[(.*?)^\s*\]\s*\)', re.M | re.S)


def check_no_orphan_tensors(tensors: Mapping[str, TensorInfo], file: str) -> None:
    """Raises GPTQError where parts of a quantised linear have no `qweight` beside them. Other tensors too many are
    harmless, and are only logged when they are left out.
    """
    for name in tensors:
        module, _, part = name.rpartition('.')
        if part in TENSOR_PARTS and part != 'bias' and f'{module}.qweight' not in tensors:
            raise GPTQError(f'{file} lacks the tensor {module}.qweight, though it holds {name}; download it again.')


def check_g_idx_present(tensors: Mapping[str, TensorInfo], module: str, file: str) -> None:
    """Raises GPTQError where a linear of an act-order file has no g_idx: quantisers write all or none."""
    if f'{module}.g_idx' not in tensors:
        raise GPTQError(f'{file} lacks the tensor {module}.g_idx, and has act-order; download it again.')


def check_loadable(folder: Path, hf_config: HFConfig | None, tensor_count: int) -> None:
    """Raises GPTQError where the folder lacks a config or a tokenizer, or describes a model that the transformers of
    this environment does not have. `hf_config` is its config.json, `tensor_count` that of the checkpoint. What only
    loading can show is not looked for.
    """
    config = check_hf_config(folder, hf_config, tensor_count)
    kind, known = config.get('model_type'), known_model_types()
    if known and isinstance(kind, str) and kind not in known and 'auto_map' not in config:
        raise GPTQError(
            f'{folder / "config.json"} describes a model that transformers cannot build: it has no causal language model '
            f'of the type {kind}; a newer transformers may have it.'
        )
    read_tokenizer_config(folder)


def check_hf_config(folder: Path, hf_config: HFConfig | None, tensor_count: int) -> HFConfig:
    """The config.json that was read. Raises GPTQError where there is none, or its sizes make no sense."""
    if hf_config is None:
        raise GPTQError(f'{folder} has no config.json; download it from where the model came from.')
    check_sizes(folder, hf_config, tensor_count)
    return hf_config


def read_tokenizer_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, empty where there is none. Raises GPTQError where the folder has no file of a tokenizer."""
    path = folder / 'tokenizer_config.json'
    settings = read_json(path) if is_present(path) else {}
    named_llama = is_llama_tokenizer(settings) and 'tokenizer_class' in settings
    files = _LLAMA_FILES if named_llama else (*_LLAMA_FILES, *_OTHER_FILES, *_TEKKEN)
    # A tokenizer with code of its own may keep its vocabulary anywhere.
    if 'auto_map' not in settings and not any(p.is_file() for name in files for p in folder.glob(name)):
        raise GPTQError(f'{folder} has no tokenizer (tokenizer.json or tokenizer.model); download it.')
    return settings


def is_llama_tokenizer(settings: Mapping[str, Any]) -> bool:
    """Whether tokenizer_config.json names a LLaMA tokenizer, or nothing, as in the earliest folders."""
    return settings.get('tokenizer_class', 'LlamaTokenizer') in LLAMA_TOKENIZERS and 'auto_map' not in settings


@lru_cache
def known_model_types() -> frozenset[str]:
    """The causal language models of the installed transformers, by model_type, read from its source in milliseconds
    where importing it takes seconds. Empty where it is not installed or is written otherwise: then no type is refused.
    """
    try:
        spec = find_spec('transformers')
        if spec is None or spec.origin is None:
            return frozenset()
        source = (Path(spec.origin).parent / 'models' / 'auto' / 'modeling_auto.py').read_text(encoding='utf-8')
    except (ValueError, OSError):
        return frozenset()
    listed = _CAUSAL_LMS.search(source)
    return frozenset(re.findall(r'\(\s*"([^"]+)"\s*,', listed[1]) if listed else ())
