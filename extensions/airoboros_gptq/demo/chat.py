"""The demo's conversations, as gradio's Chatbot takes them, and the answers of the loaded model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..airoboros.plainformat import add_plainformat, as_code_block
from ..checkpoint.quantize_config import is_gptq_folder
from ..errors import GPTQError
from ..session import ModelSession
from ..util.clean_text import clean_text

if TYPE_CHECKING:
    from ..generation.streaming import Sampling

Message = dict[str, Any]  # 'role' and 'content', both str; in a user's message 'plain', whether it asks for PLAINFORMAT


def list_models(model_dir: Path) -> list[str]:
    """Names of the GPTQ folders in `model_dir`, but for names that a page cannot show."""
    names = (folder.name for folder in model_dir.iterdir() if is_gptq_folder(folder))
    return sorted(name for name in names if name == clean_text(name))


def plainformat_spaces(session: ModelSession) -> int | None:
    """The spaces before PLAINFORMAT that the loaded model was trained with; None for one that was not, and without one."""
    return session.airoboros.plainformat_spaces if session.airoboros else None


def answer(session: ModelSession, messages: list[Message], plain: bool, sampling: Sampling) -> Iterator[list[Message]]:
    """Yields the conversation as the answer to its last message grows; unchanged where that is not the user's.

    `plain` asks for PLAINFORMAT, if the model was trained with it. Raises GPTQError without a model.
    """
    if not messages or messages[-1]['role'] != 'user':
        yield messages
        return
    if session.model is None:
        raise GPTQError('No model is loaded; pick one and press Load.')
    from ..airoboros.conversation import conversation_prompt
    from ..generation.streaming import stream

    spaces = plainformat_spaces(session)
    messages = [*messages[:-1], {**messages[-1], 'plain': plain and spaces is not None}]
    yield messages
    with session.lock:  # one answer at a time, and no load or unload meanwhile
        prompt = conversation_prompt(session.tokenizer, as_pairs(messages, spaces), airoboros=session.airoboros)
        for text in stream(session.model, session.tokenizer, prompt, sampling):
            yield [*messages, {'role': 'assistant', 'content': text}]


def as_pairs(messages: list[Message], spaces: int | None = None) -> list[tuple[str, str | None]]:
    """(user, assistant) pairs of a conversation, the last assistant None where its answer is due. PLAINFORMAT, after
    `spaces`, ends the instructions that asked for it.
    """
    pairs: list[tuple[str, str | None]] = []
    for message in messages:
        content = message['content']
        if message['role'] == 'user':
            pairs.append((add_plainformat(content, spaces) if message.get('plain') else content, None))
        else:
            pairs[-1] = (pairs[-1][0], content)
    return pairs


def for_display(messages: list[Message]) -> list[Message]:
    """The conversation as the Chatbot renders it: PLAINFORMAT answers as code blocks."""
    displayed, plain = [], False
    for message in messages:
        content = message['content']
        if message['role'] == 'user':
            plain = bool(message.get('plain'))
        elif plain and not content.lstrip().startswith('`'):
            content = as_code_block(content)
        displayed.append({'role': message['role'], 'content': content})
    return displayed
