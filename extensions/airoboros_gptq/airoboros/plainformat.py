"""PLAINFORMAT: the word at the end of an instruction that asks for bare code. Standard library only."""

from __future__ import annotations

import re

from .prompt_templates import PromptFormat

PLAINFORMAT = 'PLAINFORMAT'
PLAINFORMAT_SPACES = 2  # as the 1.2 card has it
# What ends an instruction, in every format. Whitespace before it is cut off by str methods: a pattern that begins with \s*
# takes quadratic time over long whitespace.
_CUE = re.compile(r'\bASSISTANT:|\[/INST\]')
_BEFORE_ATTACHMENTS = PLAINFORMAT + '\n\nATTACHMENTS:\n'  # as the webui puts them after a message
_FENCE = '```'


def has_plainformat(instruction: str) -> bool:
    """Whether an instruction ends with PLAINFORMAT."""
    text = instruction.rstrip()
    before = text[: -len(PLAINFORMAT)]
    return text.endswith(PLAINFORMAT) and not (before[-1:].isalnum() or before.endswith('_'))


def add_plainformat(instruction: str, spaces: int | None = PLAINFORMAT_SPACES) -> str:
    """The instruction with PLAINFORMAT at its very end: never twice, and never in an empty message. `spaces` before it
    as the version learned it; None, for one that never did, is taken for the usual two.
    """
    if not instruction.strip() or has_plainformat(instruction):
        return instruction
    return instruction.rstrip() + ' ' * (PLAINFORMAT_SPACES if spaces is None else spaces) + PLAINFORMAT


def add_plainformat_to_prompt(prompt: str, spaces: int | None = PLAINFORMAT_SPACES) -> str:
    """A whole prompt with PLAINFORMAT at the end of its last instruction, before the last `ASSISTANT:` or `[/INST]`, also
    where the answer has begun. A prompt without any of these, or whose last instruction is empty, stays as it is.
    """
    cue = None
    for cue in _CUE.finditer(prompt):  # noqa: B007 (the last one counts)
        pass
    if cue is None:
        return prompt
    instruction = prompt[: cue.start()].rstrip()
    if instruction.endswith(('USER:', '[INST]')):
        return prompt
    return add_plainformat(instruction, spaces) + prompt[len(instruction) :]


def remove_plainformat(instruction: str) -> str:
    """The instruction without a PLAINFORMAT at its end."""
    return instruction.rstrip().removesuffix(PLAINFORMAT).rstrip() if has_plainformat(instruction) else instruction


def join_as_trained(prompt: str, answer: str, format: PromptFormat) -> str:
    """A prompt that ends with an answer to be continued. Where the format's own space before an answer is the model's to
    write, and so not in the cue, it is put back: `ASSISTANT:The` is no text that was trained on.
    """
    cued = prompt[: len(prompt) - len(answer)]
    if not answer or answer[0].isspace() or not prompt.endswith(answer) or not cued.endswith(format.cue):
        return prompt
    return prompt if format.cue.endswith(' ') else f'{cued} {answer}'


def plainformat_last(prompt: str, attached: list[str], spaces: int | None = PLAINFORMAT_SPACES) -> str:
    """A prompt in which PLAINFORMAT stands after what is attached to its message, as it ended every instruction in
    training, and not before. `attached` are the last texts of the messages that have any, as the webui encloses them.
    """
    parts: list[str] = []
    rest = prompt
    while (at := rest.find(_BEFORE_ATTACHMENTS)) >= 0:
        end = _end_of_attachments(rest, at, attached)
        if end is None:
            break
        message = rest[:at].rstrip() + rest[at + len(PLAINFORMAT) : end].rstrip()
        parts.append(add_plainformat(message, spaces))
        rest = rest[end:].lstrip('\n')
    return ''.join((*parts, rest)) if parts else prompt


def _end_of_attachments(prompt: str, start: int, attached: list[str]) -> int | None:
    """Where the first of the attached texts after `start` ends; None without one."""
    positions = [(prompt.find(text, start), len(text)) for text in attached]
    return min((position + length for position, length in positions if position >= 0), default=None)


def as_code_block(answer: str) -> str:
    """A bare-code answer as a Markdown code block, for display; one that has a fence already is left as it is."""
    if not answer.strip() or _FENCE in answer:
        return answer
    return f'{_FENCE}\n{answer.rstrip()}\n{_FENCE}'
