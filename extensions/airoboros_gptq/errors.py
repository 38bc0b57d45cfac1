"""The exception whose text is shown to users."""

from __future__ import annotations

import re

from .clean_text import clean_text

_MAX_QUOTED_LINE = 150
# Words of the lines in which a library says what to do.
_REMEDY = re.compile(r'\b(please|install|upgrade|update|pass|use|set|run|try|trust_remote_code\S*)\b', re.IGNORECASE)


class GPTQError(Exception):
    """Something about a model folder or a request is wrong. `str()` is one sentence: file, fault, remedy.

    It may quote a broken file, so it is cleaned, and cut to 2,000 characters.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(clean_text(sentence))


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, cleaned, to be quoted in a sentence; its class's name where it has no text."""
    text = str(error)[:20_000].strip() or type(error).__name__
    return clean_text(text.splitlines()[0], 1000)


def quote_error(error: BaseException) -> str:
    """An exception's text to be quoted in a GPTQError: its first line, and the first after it that says what to do, as
    transformers' "Please pass the argument `trust_remote_code=True` ...". At most 310 characters.
    """
    first = clean_text(first_line(error), _MAX_QUOTED_LINE)
    lines = str(error)[:20_000].strip().splitlines()[1:]
    remedy = next((line.strip() for line in lines if _REMEDY.search(line)), '')
    if not remedy:
        return first
    return f'{first.rstrip(".")}. {clean_text(remedy, _MAX_QUOTED_LINE).rstrip(".")}'
