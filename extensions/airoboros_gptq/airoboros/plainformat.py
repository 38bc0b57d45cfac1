"""PLAINFORMAT: the word at the end of an instruction that asks for bare code. Standard library only."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

from .prompt_templates import PromptFormat

PLAINFORMAT = 'PLAINFORMAT'
PLAINFORMAT_SPACES = 2  # before it, as on the card of 1.2
# What ends an instruction, in all prompt formats. Whitespace before it is removed by str.rstrip: a pattern that begins with
# \s* takes quadratic time on long whitespace.
_CUE = re.compile(r'\bASSISTANT:|\[/INST\]')
_BEFORE_ATTACHMENTS = PLAINFORMAT + '\n\nATTACHMENTS:\n'  # the webui appends attachments to a message so
_FENCE = '```'


def has_plainformat(instruction: str) -> bool:
    """Whether an instruction ends with PLAINFORMAT."""
    text = instruction.rstrip()
    before = text[: -len(PLAINFORMAT)]
    return text.endswith(PLAINFORMAT) and not (before[-1:].isalnum() or before.endswith('_'))


def add_plainformat(instruction: str, spaces: int | None = PLAINFORMAT_SPACES) -> str:
    """The instruction with PLAINFORMAT at its very end: never twice, and never in an empty message. `spaces` precede it, as
    the version was trained; None, for a version that was not trained with it, means two.
    """
    if not instruction.strip() or has_plainformat(instruction):
        return instruction
    return instruction.rstrip() + ' ' * (PLAINFORMAT_SPACES if spaces is None else spaces) + PLAINFORMAT


def add_plainformat_to_prompt(prompt: str, spaces: int | None = PLAINFORMAT_SPACES) -> str:
    """A whole prompt with PLAINFORMAT at the end of its last instruction, before the last `ASSISTANT:` or `[/INST]`, even if
    the answer has begun. A prompt without these, or whose last instruction is empty, is returned unchanged.
    """
    last_cue = deque(_CUE.finditer(prompt), maxlen=1)
    if not last_cue:
        return prompt
    instruction = prompt[: last_cue[0].start()].rstrip()
    if instruction.endswith(('USER:', '[INST]')):
        return prompt
    return add_plainformat(instruction, spaces) + prompt[len(instruction) :]


def remove_plainformat(instruction: str) -> str:
    """The instruction without a PLAINFORMAT at its end."""
    return instruction.rstrip().removesuffix(PLAINFORMAT).rstrip() if has_plainformat(instruction) else instruction


def join_as_trained(prompt: str, answer: str, format: PromptFormat) -> str:
    """A prompt that ends with an answer to be continued. Where the cue ends without the space that precedes an answer, because
    the model generates it, the space is put back: the model was not trained on `ASSISTANT:The`.
    """
    cued = prompt[: len(prompt) - len(answer)]
    if not answer or answer[0].isspace() or not prompt.endswith(answer) or not cued.endswith(format.cue):
        return prompt
    return prompt if format.cue.endswith(' ') else f'{cued} {answer}'


def plainformat_last(prompt: str, attached: Iterable[str], spaces: int | None = PLAINFORMAT_SPACES) -> str:
    """A prompt with PLAINFORMAT after the attachments of its message, as it ended every instruction in training, and not
    before them. `attached` has the last attached text of each message that has any, enclosed as in the webui's prompt.
    """
    next_attachment = {text: prompt.find(text) for text in attached if text}
    parts: list[str] = []
    start = 0  # of what is not in `parts` yet
    while (at := prompt.find(_BEFORE_ATTACHMENTS, start)) >= 0:
        for text, position in next_attachment.items():
            if 0 <= position < at:  # each text is searched for once in all: linear time
                next_attachment[text] = prompt.find(text, at)
        end = min((position + len(text) for text, position in next_attachment.items() if position >= 0), default=None)
        if end is None:
            break
        message = prompt[start:at].rstrip() + prompt[at + len(PLAINFORMAT) : end].rstrip()
        parts.append(add_plainformat(message, spaces))
        start = end
        while prompt.startswith('\n', start):
            start += 1
    return ''.join((*parts, prompt[start:]))


def as_code_block(answer: str) -> str:
    """A bare-code answer as a Markdown code block, for display. An answer that contains a fence is returned unchanged."""
    if not answer.strip() or _FENCE in answer:
        return answer
    return f'{_FENCE}\n{answer.rstrip()}\n{_FENCE}'
