"""The prompt for a conversation, and the sampling settings of the model card. Standard library only.

prompt_templates.py has the templates, versions.py says which version a folder holds. The default is airoboros-gpt4-1.2.
"""

from __future__ import annotations

from typing import Any

from .prompt_templates import V1_2, PromptFormat, Turns
from .versions import UNNAMED, Airoboros

PRESET_NAME = 'Airoboros'
# The sampling that the GPTQ card's pipeline uses; presets/Airoboros.yaml.
SAMPLING = {'temperature': 0.7, 'top_p': 0.95, 'repetition_penalty': 1.15}


def render(turns: Turns, system: str = '', format: PromptFormat = V1_2) -> str:
    """The prompt for a conversation of (user, assistant) pairs; the last assistant is None where its answer is due.

    The tokenizer adds the `<s>`. A `system` that is not empty replaces the trained preamble.
    """
    return format.render(turns, system)


def conversation_prompt(
    tokenizer: Any, turns: list[tuple[str, str | None]], system: str = '', airoboros: Airoboros | None = UNNAMED
) -> str:
    """The prompt for (user, assistant) pairs, the last assistant None: the Airoboros's own, or the chat template that the
    tokenizer brings, for another model and for an Airoboros with a number that is not known here.
    """
    own = airoboros and (airoboros.known or not airoboros.version)
    if own or not getattr(tokenizer, 'chat_template', None):
        return render(turns, system, (airoboros or UNNAMED).format)
    messages = [{'role': 'system', 'content': system}] if system.strip() else []
    for user, assistant in turns:
        messages.append({'role': 'user', 'content': user})
        if assistant is not None:
            messages.append({'role': 'assistant', 'content': assistant})
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
