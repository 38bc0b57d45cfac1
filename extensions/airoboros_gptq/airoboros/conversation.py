"""The prompt for a conversation, and the sampling settings of the model card. Standard library only.

prompt_templates.py has the templates, versions.py says which version a folder holds. The default is airoboros-gpt4-1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .prompt_templates import V1_2, PromptFormat, Turns
from .versions import UNNAMED, Airoboros

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PRESET_NAME = 'Airoboros'
# The sampling that the GPTQ card's pipeline uses; presets/Airoboros.yaml.
SAMPLING = {'temperature': 0.7, 'top_p': 0.95, 'repetition_penalty': 1.15}


def render(turns: Turns, system: str = '', format: PromptFormat = V1_2) -> str:
    """The prompt for a conversation of (user, assistant) pairs; the last assistant is None where its answer is to be generated.

    The tokenizer adds the `<s>`. A `system` that is not empty replaces the system prompt of the training data.
    """
    return format.render(turns, system)


def conversation_prompt(
    tokenizer: PreTrainedTokenizerBase, turns: Turns, system: str = '', airoboros: Airoboros | None = UNNAMED
) -> str:
    """The prompt for (user, assistant) pairs, the last assistant None: in the format of the Airoboros version, or by the
    tokenizer's chat template for another model (`airoboros` None) and for an unknown Airoboros version.
    """
    is_known = airoboros is not None and (airoboros.known or not airoboros.version)
    if is_known or not getattr(tokenizer, 'chat_template', None):
        return render(turns, system, (airoboros or UNNAMED).format)
    messages = [{'role': 'system', 'content': system}] if system.strip() else []
    for user, assistant in turns:
        messages.append({'role': 'user', 'content': user})
        if assistant is not None:
            messages.append({'role': 'assistant', 'content': assistant})
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def missing_template(tokenizer: PreTrainedTokenizerBase | None, airoboros: Airoboros | None) -> str | None:
    """The sentence for a model that is no Airoboros and has no chat template, which is asked in Airoboros's words."""
    if tokenizer is None or airoboros is not None or getattr(tokenizer, 'chat_template', None):
        return None
    return (
        'This model is no Airoboros and has no chat template; it is asked as Airoboros 1.2 would be (USER: and ASSISTANT:), '
        'which it may not have been trained on. Add its chat_template.jinja to the folder if there is one.'
    )
