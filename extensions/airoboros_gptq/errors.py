"""The exception whose text is shown to users."""

from __future__ import annotations

from .clean_text import clean_text


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
