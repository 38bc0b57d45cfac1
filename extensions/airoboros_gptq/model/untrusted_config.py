"""Takes out of a model's configuration what names code to run: attention and expert kernels on Hugging Face's hub, modules
of the repository. transformers would download and run such a kernel for a name with a slash in it, in config.json or in
any configuration nested in it, and for `flash_attention_2` where the flash-attn package is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

log = logging.getLogger('airoboros_gptq')

# What transformers has by itself; of flash_attention_N the package must be installed.
ATTENTION = ('eager', 'sdpa', 'flex_attention')
EXPERTS = ('eager', 'batched_mm', 'grouped_mm')
_INSTALLED = {'flash_attention_2': 'is_flash_attn_2_available', 'flash_attention_3': 'is_flash_attn_3_available'}
# The attribute where transformers keeps the choice: its names that may stay.
_CHOICES = {'_attn_implementation_internal': ATTENTION, '_experts_implementation_internal': EXPERTS}


def drop_code_names(config: Any, trust_remote_code: bool = False) -> None:
    """Makes `config`, a PretrainedConfig, and those nested in it choose nothing but transformers' own attention and experts:
    any other choice becomes transformers' default. Without trust_remote_code nested ones lose their `auto_map` too: for
    these transformers would ask in the terminal.
    """
    for part in _parts(config):
        for attribute, own in _CHOICES.items():
            chosen = getattr(part, attribute, None)
            if chosen is not None and not (isinstance(chosen, str) and (chosen in own or _is_installed(chosen))):
                log.warning('config.json chooses %s, which is not of transformers; its default is used', chosen)
                setattr(part, attribute, None)
        if part is not config and not trust_remote_code:
            part.__dict__.pop('auto_map', None)


def _is_installed(attention: str) -> bool:
    """Whether a flash_attention_N runs from an installed package."""
    from transformers import utils

    check = getattr(utils, _INSTALLED.get(attention, ''), None)
    return bool(check and check())


def _parts(config: Any) -> Iterator[Any]:
    """A configuration and those nested in it, at any depth."""
    from transformers import PretrainedConfig

    yield config
    for value in list(vars(config).values()):
        for inner in (
            value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
        ):
            if isinstance(inner, PretrainedConfig):
                yield from _parts(inner)
