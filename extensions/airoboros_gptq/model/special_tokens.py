"""Which ids begin, end and pad a text: the tokenizer's, and further ends that a config claims."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..checkpoint.hf_config import read_hf_config, text_config
from ..errors import GPTQError, quote_error
from ..util.regular_file import is_present, read_json

log = logging.getLogger('airoboros_gptq')


# Sequences, tokens or layers that a step computes at once: time and memory grow by them.
_COUNTS = (
    *('num_beams', 'num_return_sequences', 'num_beam_groups', 'num_assistant_tokens', 'prompt_lookup_num_tokens'),
    *('assistant_early_exit', 'encoder_no_repeat_ngram_size'),
)
_MAX_COUNT = 100


def set_special_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Gives the model the settings of read_generation_config(), and its config the special ids. Raises GPTQError."""
    model.generation_config, ids = read_generation_config(tokenizer, folder)
    for key, value in ids.items():
        setattr(model.config, key, value)


def read_generation_config(tokenizer: PreTrainedTokenizerBase, folder: Path) -> tuple[GenerationConfig, dict[str, Any]]:
    """The settings of generation_config.json with the ids of special_ids(), and those ids. Ends are claimed by
    generation_config.json, else by config.json. Raises GPTQError where transformers refuses the settings.
    """
    path = folder / 'generation_config.json'
    claimed = read_json(path) if is_present(path) else {}
    ends, source = claimed.get('eos_token_id'), path
    if ends is None:
        config = read_hf_config(folder) or {}
        ends, source = text_config(config).get('eos_token_id', config.get('eos_token_id')), folder / 'config.json'
    ids = special_ids(tokenizer, ends)
    refused = sorted(set(_as_ids(ends)) - set(_as_ids(ids['eos_token_id'])))
    if refused:
        log.info(
            '%s claims the end %s, which is no special token, or bos, unk or pad; %s is used',
            source,
            ', '.join(map(str, refused)),
            ids['eos_token_id'],
        )
    _check_counts(path, claimed)
    settings = {k: v for k, v in claimed.items() if k not in ids and not k.startswith('_') and not _is_static(k, v)}
    try:
        return GenerationConfig(**{**settings, **ids}), ids
    except Exception as e:  # transformers compares and converts as it goes: any error may come of a wrong type
        raise GPTQError(f'{path} holds what transformers refuses ({quote_error(e)}); correct it or remove it.') from e


def _check_counts(path: Path, claimed: dict[str, Any]) -> None:
    for key in _COUNTS:
        value = claimed.get(key)
        if isinstance(value, (int, float)) and value > _MAX_COUNT:
            raise GPTQError(f'{path} says {key} is {value}, more than {_MAX_COUNT}; correct it or remove it.')


def _is_static(key: str, value: object) -> bool:
    """Whether a setting asks for a KV cache that is allocated for all of max_length at once, whatever that says."""
    return key == 'cache_implementation' and 'static' in str(value)


def special_ids(tokenizer: PreTrainedTokenizerBase, claimed_eos: object = None) -> dict[str, Any]:
    """bos_token_id, eos_token_id and pad_token_id for a GenerationConfig.

    The tokenizer decides: published Airoboros repositories claim bos 0, eos 1, pad -1. Of `claimed_eos`, one id or
    several, those end a text too that are special and neither bos, unk nor pad: a chat model's <|im_end|> beside
    the tokenizer's <|endoftext|>. The id is one number where there is one, else a list, the tokenizer's first.
    """
    own, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    others = {tokenizer.bos_token_id, tokenizer.unk_token_id, pad} - {own}
    further = [i for i in _as_ids(claimed_eos) if i not in others and _is_special(tokenizer, i)]
    ends = list(dict.fromkeys([*([] if own is None else [own]), *further]))
    if pad is None:
        pad = ends[0] if ends else None
    return {
        'bos_token_id': tokenizer.bos_token_id,
        'eos_token_id': ends[0] if len(ends) == 1 else ends or None,
        'pad_token_id': pad,
    }


def _is_special(tokenizer: PreTrainedTokenizerBase, token_id: int) -> bool:
    """Whether a token is no text: an added one that is special, or one that is written as markup, as <|im_end|> is where
    its tokenizer forgets to call it special.
    """
    added = tokenizer.added_tokens_decoder.get(token_id)
    if added is not None and added.special:
        return True
    piece = tokenizer.convert_ids_to_tokens(token_id) if 0 <= token_id < len(tokenizer) else None
    return isinstance(piece, str) and piece[:1] + piece[-1:] in ('<>', '[]')


def _as_ids(claimed: object) -> list[int]:
    """The whole numbers in what a config says of ends: one, a list of them, or anything."""
    return [i for i in (claimed if isinstance(claimed, list) else [claimed]) if type(i) is int]
