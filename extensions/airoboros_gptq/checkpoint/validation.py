"""Whether tensors can be what they are called, beyond their shapes. Checked while loading: cheap, one pass each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GPTQError
from .hf_config import read_json
from .tensor_info import TensorInfo

if TYPE_CHECKING:
    import torch

_PARTS = ('qweight', 'qzeros', 'scales', 'g_idx')
LLAMA_TOKENIZERS = ('LlamaTokenizer', 'LlamaTokenizerFast', 'LLaMATokenizer')
_LLAMA_FILES = ('tokenizer.json', 'tokenizer.model')
# What the tokenizers of other families are kept in.
_OTHER_FILES = ('vocab.json', 'vocab.txt', 'vocab', 'spiece.model', 'sentencepiece.bpe.model', 'merges.txt')
_TEKKEN = ('tekken.json', '*.tiktoken', 'tiktoken.model')
_CAUSAL_LMS = re.compile(r'^MODEL_FOR_CAUSAL_LM_MAPPING_NAMES\s*=\s*OrderedDict\(\s*\[(.*?)^\s*\]\s*\)', re.M | re.S)


def require_finite(value: torch.Tensor, name: str, file: str) -> None:
    """Raises GPTQError where a floating tensor is none, or holds NaN or infinity: every answer would be gibberish."""
    if not value.is_floating_point():
        kind = str(value.dtype).removeprefix('torch.')
        raise GPTQError(f'{file} holds {name} as {kind} where floating point is expected; download it again.')
    # Minimum and maximum carry a NaN on, and need no mask as large as the tensor.
    if value.numel() and not all(bound.isfinite() for bound in value.aminmax()):
        raise GPTQError(f'{file} holds {name} with NaN or infinity in it; the file is damaged, so download it again.')


def require_scales(scales: torch.Tensor, name: str, file: str) -> None:
    """Raises GPTQError for scales that no quantiser writes. All zero is what a preallocated, unfinished download has."""
    require_finite(scales, name, file)
    if not scales.any():
        raise GPTQError(
            f'{file} holds {name} with nothing but zeros in it: the download was interrupted; download it again.'
        )


def refuse_strays(tensors: Mapping[str, TensorInfo], file: str) -> None:
    """Raises GPTQError where parts of a quantised linear have no `qweight` beside them. Other tensors too many are
    harmless, and are only logged when they are left out.
    """
    for name in tensors:
        module, _, part = name.rpartition('.')
        if part in _PARTS and f'{module}.qweight' not in tensors:
            raise GPTQError(f'{file} lacks the tensor {module}.qweight, though it holds {name}; download it again.')


def require_g_idx(tensors: Mapping[str, TensorInfo], module: str, file: str) -> None:
    """Raises GPTQError where a linear of an act-order file has no g_idx: quantisers write all or none."""
    if f'{module}.g_idx' not in tensors:
        raise GPTQError(f'{file} lacks the tensor {module}.g_idx, and has act-order; download it again.')


def check_loadable(folder: Path) -> None:
    """Raises GPTQError where the folder lacks a config or a tokenizer, or describes a model that the transformers of
    this environment does not have. What only loading can show is not looked for.
    """
    config = require_config(folder)
    kind, known = config.get('model_type'), known_model_types()
    if known and isinstance(kind, str) and kind not in known and 'auto_map' not in config:
        raise GPTQError(
            f'{folder / "config.json"} describes a model that transformers cannot build: it has no causal language model '
            f'of the type {kind}; a newer transformers may have it.'
        )
    require_tokenizer(folder)


def require_config(folder: Path) -> dict:
    """What config.json says. Raises GPTQError where it is not there, or broken."""
    if not (folder / 'config.json').is_file():
        raise GPTQError(f'{folder} has no config.json; download it from where the model came from.')
    return read_json(folder / 'config.json')


def require_tokenizer(folder: Path) -> dict:
    """What tokenizer_config.json says, or nothing. Raises GPTQError where the folder has no file of a tokenizer."""
    settings = read_json(folder / 'tokenizer_config.json') if (folder / 'tokenizer_config.json').is_file() else {}
    files = _LLAMA_FILES if is_llama_like(settings) else (*_LLAMA_FILES, *_OTHER_FILES, *_TEKKEN)
    # A tokenizer with code of its own may keep its words anywhere.
    if 'auto_map' not in settings and not any(p.is_file() for name in files for p in folder.glob(name)):
        raise GPTQError(f'{folder} has no tokenizer (tokenizer.json or tokenizer.model); download it.')
    return settings


def is_llama_like(settings: dict) -> bool:
    """Whether tokenizer_config.json names a LLaMA tokenizer, or nothing, as the earliest folders."""
    return settings.get('tokenizer_class', 'LlamaTokenizer') in LLAMA_TOKENIZERS and 'auto_map' not in settings


@lru_cache
def known_model_types() -> frozenset[str]:
    """The types of causal language models of the transformers that is installed, read off its source; none where it is
    not there or is written otherwise, and then nothing can be said.
    """
    try:
        package = Path(find_spec('transformers').origin).parent
        source = (package / 'models' / 'auto' / 'modeling_auto.py').read_text(encoding='utf-8')
    except (AttributeError, TypeError, ValueError, OSError):
        return frozenset()
    listed = _CAUSAL_LMS.search(source)
    return frozenset(re.findall(r'\(\s*"([^"]+)"\s*,', listed[1]) if listed else ())
