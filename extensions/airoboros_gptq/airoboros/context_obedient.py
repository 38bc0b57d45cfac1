"""The prompt with which an Airoboros answers from given sources alone ("context obedient"). Standard library alone.

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
    """A text, and what is known of it as `key: value` lines (url, date, author, title, …); there may be none."""

    text: str
    context: str = ''


def context_prompt(sources: list[Source], question: str) -> str:
    """The prompt. Sources in which nothing stands are passed over. Raises GPTQError with the sentence for the user."""
    used = [(number, s) for number, s in enumerate(sources, 1) if s.text.strip() or s.context.strip()]
    if not used:
        raise GPTQError('There is no source; paste the text that the answer is to come from.')
    if not question.strip():
        raise GPTQError('There is no question; write what is to be answered from the sources.')
    blocks = [_block(number, source) for number, source in used]
    return '\n'.join([*blocks, 'BEGININSTRUCTION', _free_of_tags(question, 'The question'), 'ENDINSTRUCTION'])


def _block(number: int, source: Source) -> str:
    if not source.text.strip():
        raise GPTQError(f'Source {number} has no text; paste it, or clear its key-value lines.')
    text = _free_of_tags(source.text, f'Source {number}')
    lines = ['BEGININPUT', 'BEGINCONTEXT', *_key_values(number, source.context), 'ENDCONTEXT', text, 'ENDINPUT']
    return '\n'.join(lines)


def _key_values(number: int, context: str) -> list[str]:
    """`key: value` lines, spaced as the data have them. Empty lines are passed over."""
    found = []
    for line in filter(str.strip, context.splitlines()):
        key, colon, value = (part.strip() for part in line.partition(':'))
        if not (key and colon) or value.startswith('//'):  # the colon of a bare https:// is no key's
            raise GPTQError(
                f'"{line.strip()}" in source {number} is not a key, a colon and a value; write, say, "date: 2021-01-01".'
            )
        found.append(_free_of_tags(f'{key}: {value}'.rstrip(), f'Source {number}'))
    return found


def _free_of_tags(text: str, where: str) -> str:
    """The text as it goes in. A tag on a line of its own would end the block, and what follows would be read as ours."""
    for line in text.splitlines():
        if line.strip() in _TAGS:
            raise GPTQError(
                f'{where} has a line {line.strip()}, which the prompt itself is made of; take that line out.'
            )
    return text.strip('\r\n \t')
