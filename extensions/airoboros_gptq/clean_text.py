"""Text of unknown origin, made fit to show in a terminal, a log, a web page or JSON. Standard library alone.

A model folder is downloaded from strangers. ESC rewrites a terminal, a line break forges a line of a log, a bidirectional
override or a zero-width character makes one name look like another, and half a surrogate pair cannot be sent at all.
"""

from __future__ import annotations

import logging
import unicodedata
from typing import Any

# Control, formatting (bidirectional, zero-width, tags), half a surrogate pair, line and paragraph separators.
_UNFIT = ('Cc', 'Cf', 'Cs', 'Zl', 'Zp')
MAX_LENGTH = 2000  # characters


def clean_text(text: str, max_length: int = MAX_LENGTH) -> str:
    """`text` with a space for each character that is unfit to show, cut in its middle to `max_length` characters (at least
    40): of an error the fault is at the front and the remedy at the end.
    """
    if len(text) > max_length:
        end = max_length // 4
        text = f'{text[: max_length - end - 3]} … {text[-end:]}'
    if text.isascii() and text.isprintable():
        return text
    return ''.join(' ' if unicodedata.category(c) in _UNFIT else c for c in text)


def clean_json(value: Any) -> Any:
    """What json.dumps takes, with all text in it cleaned, keys included."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_json(k): clean_json(v) for k, v in value.items()}
    return [clean_json(v) for v in value] if isinstance(value, (list, tuple)) else value


class CleanRecords(logging.Filter):
    """Cleans the message of each record of a logger: what is logged quotes configs and names of files."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = clean_text(record.getMessage()), ()
        return True
