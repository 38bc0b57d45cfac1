"""PLAINFORMAT, and the prompt for a conversation. Standard library alone.

What each version was trained on stands in formats.py, which version a folder holds is family.py's to say. Where nobody
says anything, it is airoboros-gpt4-1.2.
"""

from __future__ import annotations

import re

from .formats import V1_2, PromptFormat, Turns

PRESET_NAME = 'Airoboros'
# The sampling that the GPTQ card's pipeline uses; presets/Airoboros.yaml.
SAMPLING = {'temperature': 0.7, 'top_p': 0.95, 'repetition_penalty': 1.15}

PLAINFORMAT = 'PLAINFORMAT'
PLAINFORMAT_SPACES = 2  # as the 1.2 card has it
_AT_END = re.compile(r'\s*\bPLAINFORMAT\s*\Z')
_FENCE = '```'


def render(turns: Turns, system: str = '', format: PromptFormat = V1_2) -> str:
    """The prompt for a conversation of (user, assistant) pairs; the last assistant is None where its answer is due.

    The tokenizer adds the `<s>`. A `system` that is not empty replaces the trained preamble.
    """
    return format.render(turns, system)


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


def remove_plainformat(instruction: str) -> str:
    """The instruction without a PLAINFORMAT at its end."""
    return _AT_END.sub('', instruction)


def as_code_block(answer: str) -> str:
    """A bare-code answer as a Markdown code block, for display; one that has a fence already is left as it is."""
    if not answer.strip() or _FENCE in answer:
        return answer
    return f'{_FENCE}\n{answer.rstrip()}\n{_FENCE}'
