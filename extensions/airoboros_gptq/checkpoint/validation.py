"""Whether a folder can be loaded, as far as its configs and tensor names show. Standard library alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GPTQError
from ..util.regular_file import is_present, read_json
from .folder_files import check_files
from .group_index import GroupIndex
from .hf_config import HFConfig, check_sizes
from .linear_spec import TENSOR_PARTS
from .model_types import known_model_types, runs_own_code, who_has_it, with_native_type
from .tensor_info import TensorInfo

LLAMA_TOKENIZERS = ('LlamaTokenizer', 'LlamaTokenizerFast', 'LLaMATokenizer')
_LLAMA_FILES = ('tokenizer.json', 'tokenizer.model')
# What the tokenizers of other families are kept in.
_OTHER_FILES = ('vocab.json', 'vocab.txt', 'vocab', 'spiece.model', 'sentencepiece.bpe.model', 'merges.txt')
_TEKKEN = ('tekken.json', '*.tiktoken', 'tiktoken.model')


def check_no_orphan_tensors(tensors: Mapping[str, TensorInfo], file: str) -> None:
    """Raises GPTQError where parts of a quantised linear have no `qweight` beside them. Other tensors too many are
    harmless, and are only logged when they are left out.
    """
    for name in tensors:
        module, _, part = name.rpartition('.')
        if part in TENSOR_PARTS and part != 'bias' and f'{module}.qweight' not in tensors:
            raise GPTQError(f'{file} lacks the tensor {module}.qweight, though it holds {name}; download it again.')


def check_g_idx(index: GroupIndex | None, groups: int, module: str, file: str) -> None:
    """Raises GPTQError where a linear of an act-order file has no g_idx, or one that was not filled, which is zeros:
    quantisers write all or none. `groups` are those of its scales.
    """
    if index is None:
        raise GPTQError(f'{file} lacks the tensor {module}.g_idx, and has act-order; download it again.')
    if groups > 1 and (index.is_zero or index.has_gap):
        raise GPTQError(
            f'{file} has act-order, and holds {module}.g_idx with zeros where groups belong: the download was interrupted; '
            'download it again.'
        )


def check_loadable(
    folder: Path, hf_config: HFConfig | None, tensor_count: int, trust_remote_code: bool = False
) -> None:
    """Raises GPTQError where the folder lacks a config or a tokenizer, or describes a model that the transformers of
    this environment does not have. `hf_config` is its config.json, `tensor_count` that of the checkpoint. What only
    loading can show is not looked for.
    """
    check_model_type(folder, check_hf_config(folder, hf_config, tensor_count), trust_remote_code)
    read_tokenizer_config(folder)


def check_model_type(folder: Path, config: HFConfig, trust_remote_code: bool = False) -> None:
    """Raises GPTQError where a model is of a type that transformers does not have, and its own code is not to be run."""
    config = with_native_type(config)
    has_own_code = runs_own_code(folder, config)
    kind, known = config.get('model_type'), known_model_types() | known_model_types('IMAGE_TEXT_TO_TEXT')
    if not known or not isinstance(kind, str) or kind in known:
        return
    path = folder / 'config.json'
    if not has_own_code:
        raise GPTQError(
            f'{path} describes a model that transformers cannot build: it has no language model of the type {kind}; '
            f'{who_has_it(config)}.'
        )
    if not trust_remote_code:
        raise GPTQError(
            f'{path} describes a {kind}, which runs by code of its own; look at the code in {folder} and, if you trust it, '
            'load with trust_remote_code=True (in the webui: --trust-remote-code).'
        )


def check_hf_config(folder: Path, hf_config: HFConfig | None, tensor_count: int) -> HFConfig:
    """The config.json that was read. Raises GPTQError where there is none, or its sizes make no sense."""
    if hf_config is None:
        raise GPTQError(f'{folder} has no config.json; download it from where the model came from.')
    check_sizes(folder, hf_config, tensor_count)
    return hf_config


def read_tokenizer_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, empty where there is none. Raises GPTQError where the folder has no file of a tokenizer, or one that
    would be read without end.
    """
    check_files(folder)
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
