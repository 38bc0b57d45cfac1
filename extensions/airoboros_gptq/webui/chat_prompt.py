"""The prompt of the Chat tab, where the webui's differs from what the model was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..airoboros.plainformat import join_as_trained, plainformat_last
from .loader import gptq_loader


def generate(original: Callable[..., Any], user_input: str, state: dict[str, Any], **kwargs: Any) -> Any:
    """The prompt of the webui's generate_chat_prompt, `original`, with PLAINFORMAT at the end of its message and a space
    before an answer to be continued. Returned alone, or with the rows that were rendered if the caller asks for them.
    """
    result = original(user_input, state, **kwargs)
    if not gptq_loader.is_active():
        return result
    prompt, *rows = result if isinstance(result, tuple) else (result,)
    airoboros, history = gptq_loader.airoboros(), kwargs.get('history', state['history'])
    spaces = {} if airoboros is None else {'spaces': airoboros.plainformat_spaces}
    prompt = plainformat_last(prompt, _last_attachments(history.get('metadata', {})), **spaces)
    if kwargs.get('_continue') and airoboros and state.get('mode') == 'instruct' and history['internal']:
        prompt = join_as_trained(prompt, history['internal'][-1][1].strip(), airoboros.format)
    return (prompt, *rows) if rows else prompt


def generation_prompt(renderer: Callable[..., str]) -> str:
    """What the template of `renderer` puts between a question and its answer; '' where that cannot be told."""
    messages = [{'role': 'user', 'content': '?'}]
    question, prompt = renderer(messages=messages), renderer(messages=messages, add_generation_prompt=True)
    return prompt.removeprefix(question) if prompt.startswith(question) else ''


def _last_attachments(metadata: dict[str, Any]) -> list[str]:
    """The last attached text of each message, enclosed as in the webui's prompt."""
    attachments = []
    for entry in metadata.values():
        texts = [a for a in entry.get('attachments', ()) if a.get('type') != 'image'] if isinstance(entry, dict) else []
        if texts:
            attachments.append(f'\n=====\n{texts[-1].get("content", "")}\n=====\n')
    return attachments
