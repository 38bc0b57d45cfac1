"""The demo's conversations, as gradio's Chatbot takes them, and the answers of the loaded model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..airoboros.plainformat import add_plainformat, as_code_block
from ..checkpoint.quantize_config import is_gptq_folder
from ..clean_text import clean_text
from ..errors import GPTQError
from ..session import ModelSession

if TYPE_CHECKING:
    from ..generation.streaming import Sampling

Message = dict[str, Any]  # 'role' and 'content', both str; in a user's message 'plain', whether it asks for PLAINFORMAT


def find_models(model_dirs: Sequence[Path]) -> dict[str, Path]:
    """The GPTQ folders in `model_dirs` by their names, the first of a name, but for names that a page cannot show. Raises
    GPTQError where there are none.
    """
    found: dict[str, Path] = {}
    for model_dir in model_dirs:
        try:
            folders = sorted(model_dir.iterdir())
        except OSError as e:
            raise GPTQError(
                f'{model_dir} is not a folder that can be read ({e.strerror}); give the one that holds your model folders.'
            ) from e
        for folder in folders:
            if folder.name == clean_text(folder.name) and is_gptq_folder(folder):
                found.setdefault(folder.name, folder)
    if not found:
        dirs = ' and '.join(map(str, model_dirs))
        raise GPTQError(f'{dirs} holds no folder with a GPTQ model; give the one that holds your model folders.')
    return found


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
