"""PLAINFORMAT: the word at the end of an instruction that asks for bare code. Standard library only."""

from __future__ import annotations

import re

from .prompt_templates import PromptFormat

PLAINFORMAT = 'PLAINFORMAT'
PLAINFORMAT_SPACES = 2  # as the 1.2 card has it
_AT_END = re.compile(r'\s*\bPLAINFORMAT\s*\Z')
_CUE = re.compile(r'\s*(?:\bASSISTANT:|\[/INST\])')  # what ends an instruction, in every format
_BEFORE_ATTACHMENTS = PLAINFORMAT + '\n\nATTACHMENTS:\n'  # as the webui puts them after a message
_FENCE = '```'


def has_plainformat(instruction: str) -> bool:
    """Whether an instruction ends with PLAINFORMAT."""
    return _AT_END.search(instruction) is not None


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
    cue = next(reversed([*_CUE.finditer(prompt)]), None)
    if cue is None or prompt[: cue.start()].endswith(('USER:', '[INST]')):
        return prompt
    return add_plainformat(prompt[: cue.start()], spaces) + prompt[cue.start() :]


def remove_plainformat(instruction: str) -> str:
    """The instruction without a PLAINFORMAT at its end."""
    return _AT_END.sub('', instruction)


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
    start = 0
    while (at := prompt.find(_BEFORE_ATTACHMENTS, start)) >= 0:
        found = [(prompt.find(text, at), len(text)) for text in attached]
        end = min((i + length for i, length in found if i >= 0), default=None)
        if end is None:
            return prompt
        message = prompt[:at].rstrip() + prompt[at + len(PLAINFORMAT) : end].rstrip()
        prompt, start = add_plainformat(message, spaces) + prompt[end:].lstrip('\n'), len(message)
    return prompt


def as_code_block(answer: str) -> str:
    """A bare-code answer as a Markdown code block, for display; one that has a fence already is left as it is."""
    if not answer.strip() or _FENCE in answer:
        return answer
    return f'{_FENCE}\n{answer.rstrip()}\n{_FENCE}'
