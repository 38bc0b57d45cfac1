"""Streaming without waiting for the GPU: each new token reaches the webui's page as ids that lie on the CPU.

The webui streams through a stopping criterion, its class Stream, which hands the ids to the thread that decodes them.
"""

from __future__ import annotations

import sys
from typing import Any

from modules import shared

from ..names import IDS_ON_CPU

_HOMES = 'modules.transformers_loader', 'modules.callbacks'  # since v3.0, and before


def send_ids_on_cpu() -> None:
    """Marks the webui's Stream so that it is given ids on the CPU. The webui imports it with torch, for the first model."""
    for stream in _stream_classes():
        setattr(stream, IDS_ON_CPU, True)


def undo() -> None:
    """Takes the mark off again."""
    for stream in _stream_classes():
        if IDS_ON_CPU in vars(stream):
            delattr(stream, IDS_ON_CPU)


def is_on_cpu(ids: Any) -> bool:
    """Whether ids are a tensor on the CPU; a list, which holds them for logprobs, is not."""
    return getattr(getattr(ids, 'device', None), 'type', None) == 'cpu'


def decode_reply(output_ids: Any, state: dict[str, Any] | None, starting_from: int) -> str:
    """The text of output_ids[starting_from:], with the space before its first word that decoding takes off."""
    from modules import text_generation

    new = output_ids[starting_from:]
    text: str = text_generation.decode(new, state['skip_special_tokens'] if state else True)
    first = shared.tokenizer.convert_ids_to_tokens(int(new[0])) if len(new) else ''
    return f' {text}' if first.startswith('▁') and not text.startswith(' ') else text


def _stream_classes() -> set[type]:
    modules = (sys.modules.get(name) for name in _HOMES)
    return {stream for module in modules if (stream := getattr(module, 'Stream', None)) is not None}
