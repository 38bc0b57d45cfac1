"""The prompt with which an Airoboros answers from given sources only ("context obedient"). Standard library only.

The layout is that of the model cards from 1.1 on and of the data generator (jondurbin/airoboros,
`airoboros/instructors/contextual.py`), each key on a line of its own:

    BEGININPUT
    BEGINCONTEXT
    url: https://…
    date: 2021-01-01
    ENDCONTEXT
    text of the source
    ENDINPUT
    BEGININSTRUCTION
    the question
    ENDINSTRUCTION
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import GPTQError

MAX_SOURCES = 5  # the most that the training data hold
_TAGS = ('BEGININPUT', 'BEGINCONTEXT', 'ENDCONTEXT', 'ENDINPUT', 'BEGININSTRUCTION', 'ENDINSTRUCTION')


@dataclass(frozen=True)
class Source:
    """A text, and its metadata as `key: value` lines (url, date, author, title, …), which may be empty."""

    text: str
    context: str = ''


def context_prompt(sources: list[Source], question: str) -> str:
    """The prompt. Empty sources are skipped. Raises GPTQError where there is no source or no question, a source has metadata but
    no text, a line of metadata is no `key: value`, or a line of a text is a tag of the prompt.
    """
    used = [(number, s) for number, s in enumerate(sources, 1) if s.text.strip() or s.context.strip()]
    if not used:
        raise GPTQError('There is no source; paste the text that the answer is to come from.')
    if not question.strip():
        raise GPTQError('There is no question; write what is to be answered from the sources.')
    blocks = [_block(number, source) for number, source in used]
    return '\n'.join([*blocks, 'BEGININSTRUCTION', _strip_and_check(question, 'The question'), 'ENDINSTRUCTION'])


def _block(number: int, source: Source) -> str:
    if not source.text.strip():
        raise GPTQError(f'Source {number} has no text; paste it, or clear its key-value lines.')
    text = _strip_and_check(source.text, f'Source {number}')
    lines = ['BEGININPUT', 'BEGINCONTEXT', *_key_values(number, source.context), 'ENDCONTEXT', text, 'ENDINPUT']
    return '\n'.join(lines)


def _key_values(number: int, context: str) -> list[str]:
    """`key: value` lines, spaced as in the training data. Empty lines are skipped."""
    lines = []
    for line in filter(str.strip, context.splitlines()):
        key, colon, value = (part.strip() for part in line.partition(':'))
        if not (key and colon) or value.startswith('//'):  # the colon of a bare https:// ends no key
            raise GPTQError(
                f'"{line.strip()}" in source {number} is not a key, a colon and a value; write, say, "date: 2021-01-01".'
            )
        lines.append(_strip_and_check(f'{key}: {value}'.rstrip(), f'Source {number}'))
    return lines


def _strip_and_check(text: str, where: str) -> str:
    """The text without whitespace around it. A tag on a line by itself would end the block, and the model would take what follows
    for a part of the prompt.
    """
    for line in text.splitlines():
        if line.strip() in _TAGS:
            raise GPTQError(
                f'{where} has a line {line.strip()}, which the prompt itself is made of; take that line out.'
            )
    return text.strip('\r\n \t')
