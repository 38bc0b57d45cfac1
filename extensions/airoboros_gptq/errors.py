"""The exception whose text is shown to users."""

from __future__ import annotations

import unicodedata

_MAX_LENGTH = 2000


class GPTQError(Exception):
    """Something about a model folder or a request is wrong. `str()` is one sentence: file, fault, remedy.

    It may quote a broken file, so control characters, line breaks and surrogates become spaces, and it is cut to 2,000
    characters.
    """

    def __init__(self, sentence: str) -> None:
        clean = ''.join(' ' if unicodedata.category(c) in ('Cc', 'Cs', 'Zl', 'Zp') else c for c in sentence)
        if len(clean) > _MAX_LENGTH:  # the fault is at its front, the remedy at its end
            clean = f'{clean[: _MAX_LENGTH - 500]} … {clean[-490:]}'
        super().__init__(clean)


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, to be quoted in a GPTQError; its class's name where it has no text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
