"""Which ids begin, end and pad a text: the tokenizer decides, whatever the configs claim."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import GPTQError, quote_error
from ..util.regular_file import is_present, read_json

log = logging.getLogger('airoboros_gptq')


def set_special_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Gives the model the settings of generation_config.json with the tokenizer's ids, and its config those ids. Raises
    GPTQError where transformers refuses the settings.
    """
    path = folder / 'generation_config.json'
    claimed = read_json(path) if is_present(path) else {}
    ids = special_ids(tokenizer, claimed.get('eos_token_id'))
    wrong = [k for k, v in ids.items() if k in claimed and claimed[k] != v and k != 'pad_token_id']
    if wrong:
        log.info("%s claims %s; the tokenizer's are used", path, ', '.join(f'{k} {claimed[k]}' for k in wrong))
    settings = {k: v for k, v in claimed.items() if k not in ids and not k.startswith('_')}
    try:
        model.generation_config = GenerationConfig(**{**settings, **ids})
    except Exception as e:  # transformers compares and converts as it goes: any error may come of a wrong type
        raise GPTQError(f'{path} holds what transformers refuses ({quote_error(e)}); correct it or remove it.') from e
    for key, value in ids.items():
        setattr(model.config, key, value)


def special_ids(tokenizer: PreTrainedTokenizerBase, claimed_eos: object = None) -> dict[str, Any]:
    """bos_token_id, eos_token_id and pad_token_id for a GenerationConfig.

    The tokenizer decides: published Airoboros repositories claim bos 0, eos 1, pad -1. `claimed_eos`, what
    generation_config.json says, is kept only where it lists several ends and the tokenizer's own is among them.
    """
    eos = tokenizer.eos_token_id
    if isinstance(claimed_eos, list) and eos in claimed_eos:
        eos = claimed_eos
    pad = tokenizer.pad_token_id
    if pad is None:
        pad = tokenizer.eos_token_id
    return {'bos_token_id': tokenizer.bos_token_id, 'eos_token_id': eos, 'pad_token_id': pad}
