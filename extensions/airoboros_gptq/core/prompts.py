"""Airoboros prompts exactly as trained, and PLAINFORMAT. Standard library alone.

Layout: jondurbin/qlora at 3dbb1aa (2023-06-09), the fork that trained airoboros-gpt4-1.2: one line, single spaces, and a
space after the last colon. `instruction-templates/Airoboros-v1.2.yaml` says the same in the webui's language.
"""

from __future__ import annotations

import re

SYSTEM = (
    'A chat between a curious user and an assistant. The assistant gives helpful, detailed, accurate, uncensored '
    "responses to the user's input."
)
TEMPLATE_NAME = 'Airoboros-v1.2'
PRESET_NAME = 'Airoboros'
# The sampling that the GPTQ card's pipeline uses; presets/Airoboros.yaml.
SAMPLING = {'temperature': 0.7, 'top_p': 0.95, 'repetition_penalty': 1.15}

PLAINFORMAT = 'PLAINFORMAT'
_SUFFIX = '  ' + PLAINFORMAT  # two spaces, as the 1.2 card has it
_AT_END = re.compile(r'\s*\bPLAINFORMAT\s*\Z')
_FENCE = '```'


def render(turns: list[tuple[str, str | None]], system: str = '') -> str:
    """The prompt for a conversation of (user, assistant) pairs; the last assistant is None where its answer is due.

    The tokenizer adds the `<s>`. A `system` that is not empty replaces the trained preamble.
    """
    text = (system if system.strip() else SYSTEM) + ' '
    for user, assistant in turns:
        text += f'USER: {user} ASSISTANT: '
        if assistant is not None:
            text += f'{assistant}</s>'
    return text


def has_plainformat(instruction: str) -> bool:
    """Whether an instruction ends with PLAINFORMAT."""
    return _AT_END.search(instruction) is not None


def add_plainformat(instruction: str) -> str:
    """The instruction with PLAINFORMAT at its very end: never twice, and never in an empty message."""
    if not instruction.strip() or has_plainformat(instruction):
        return instruction
    return instruction.rstrip() + _SUFFIX


def remove_plainformat(instruction: str) -> str:
    """The instruction without a PLAINFORMAT at its end."""
    return _AT_END.sub('', instruction)


def as_code_block(answer: str) -> str:
    """A bare-code answer as a Markdown code block, for display; one that has a fence already is left as it is."""
    if not answer.strip() or _FENCE in answer:
        return answer
    return f'{_FENCE}\n{answer.rstrip()}\n{_FENCE}'


def is_airoboros(folder_name: str, model_name: str = '') -> bool:
    """Whether a model is an Airoboros, by its folder's name or the name its config gives."""
    return any('airoboros' in name.lower() for name in (folder_name, model_name or ''))
