"""The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json.

transformers can convert one too, and splits no digits then: it does not read `tokenizer.ggml.pre`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import GPTQError
from .gguf_file import GGUFFile

_CONTROL, _USER_DEFINED = 3, 4  # of tokenizer.ggml.token_type
_NAMES = {'bos_token': 'bos', 'eos_token': 'eos', 'unk_token': 'unknown', 'pad_token': 'padding'}


def write_tokenizer(file: GGUFFile, folder: Path) -> None:
    """Writes the tokenizer's files. Raises GPTQError where it is not the byte-level BPE that SmolLM2 has."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    kind = file.value('tokenizer.ggml.model'), file.value('tokenizer.ggml.pre')
    if kind != ('gpt2', 'smollm'):
        raise GPTQError(f'The tokenizer of this GGUF file is {kind[0]}, {kind[1]} where gpt2, smollm is expected.')
    tokens, types = file.value('tokenizer.ggml.tokens'), file.value('tokenizer.ggml.token_type')
    merges = [(left, right) for left, _, right in (m.partition(' ') for m in file.value('tokenizer.ggml.merges'))]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    for token, type in zip(tokens, types, strict=True):
        if type == _CONTROL:
            tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)])
        elif type == _USER_DEFINED:
            tokenizer.add_tokens([AddedToken(token, normalized=False)])
    tokenizer.save(str(folder / 'tokenizer.json'))
    _write_config(file, tokens, folder)


def _write_config(file: GGUFFile, tokens: list[str], folder: Path) -> None:
    ids = {name: file.value(f'tokenizer.ggml.{key}_token_id') for name, key in _NAMES.items()}
    config: dict[str, Any] = {
        # Not GPT2Tokenizer: transformers 5 makes that anew from the vocabulary, and drops the splitting of digits.
        'tokenizer_class': 'PreTrainedTokenizerFast',
        'model_max_length': file.value('llama.context_length'),
        'clean_up_tokenization_spaces': False,
        'chat_template': file.value('tokenizer.chat_template'),
        **{name: tokens[i] for name, i in ids.items() if i is not None},
    }
    write_json(folder / 'tokenizer_config.json', config)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes an object as people read it."""
    import json

    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
