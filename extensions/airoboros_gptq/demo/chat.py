"""The model behind the page: one at a time, loaded, asked and let go."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

from ..airoboros.plainformat import add_plainformat, as_code_block
from ..airoboros.versions import Airoboros
from ..checkpoint.quantize_config import is_gptq_folder
from ..errors import GPTQError
from ..preflight.folder_summary import FolderSummary, named_format, read_selected

Message = dict[str, str]  # role and content, as gradio's chatbot takes them; a user's may carry 'plain'


def list_models(model_dir: Path) -> list[str]:
    """Names of the GPTQ folders in `model_dir`."""
    return sorted(p.name for p in model_dir.iterdir() if is_gptq_folder(p))


class Engine:
    """Loads and runs models of one folder. Loading and generating take turns."""

    def __init__(self, model_dir: Path):
        self._dir = model_dir
        self._lock = threading.Lock()
        self._loaded: tuple[Path, str, str] | None = None
        self._running = ''
        self.airoboros: Airoboros | None = None  # the loaded model's version; None for another model, or none
        self._model = self._tokenizer = None

    def facts(
        self, name: str | None, checkpoint: str | None = None, checkpoint_format: str | None = None
    ) -> FolderSummary:
        """What is read of a folder. Raises GPTQError."""
        if not name:
            raise GPTQError('No model is picked; pick one above.')
        return read_selected(self._dir / name, checkpoint, checkpoint_format)

    def running(self, facts: FolderSummary) -> str:
        """How this checkpoint runs, in a few words; empty where it is not the one that is loaded."""
        return self._running if facts.identity == self._loaded else ''

    def load(
        self, name: str | None, checkpoint: str | None, kernel: str, checkpoint_format: str | None, progress
    ) -> None:
        """Replaces the loaded model. Raises GPTQError; then no model is loaded."""
        from ..model.load import describe_running, load

        chosen = self.facts(name, checkpoint, checkpoint_format)
        self.unload()
        with self._lock:
            self._model, self._tokenizer = load(
                chosen.folder,
                checkpoint=chosen.checkpoint.name,
                checkpoint_format=named_format(checkpoint_format),
                kernel=kernel,
                progress=progress,
            )
            self._loaded = chosen.identity
            self._running, self.airoboros = describe_running(self._model), chosen.airoboros

    def unload(self) -> None:
        """Lets the model go, and its memory."""
        with self._lock:
            self._model = self._tokenizer = None
            self._loaded, self._running, self.airoboros = None, '', None
            gc.collect()

    @property
    def offers_plainformat(self) -> bool:
        """Whether the loaded model learned PLAINFORMAT."""
        return self._plainformat_spaces is not None

    @property
    def _plainformat_spaces(self) -> int | None:
        return self.airoboros.plainformat_spaces if self.airoboros else None

    def answer(self, turns: list[Message], plain: bool, settings) -> Iterator[tuple[list[Message], list[Message], str]]:
        """(shown, turns, '') as the answer grows. The last of `turns` is the user's, asked with PLAINFORMAT if `plain`."""
        import gradio as gr

        from ..airoboros.conversation import conversation_prompt
        from ..generation.streaming import Sampling, stream

        if not turns or turns[-1]['role'] != 'user':
            yield for_display(turns), turns, ''
            return
        if self._model is None:
            raise gr.Error('No model is loaded; pick one and press Load.')
        turns = [*turns[:-1], {**turns[-1], 'plain': plain and self.offers_plainformat}]
        temperature, top_p, penalty, length = settings
        sampling = Sampling(temperature, top_p, penalty, int(length))
        yield for_display(turns), turns, ''
        with self._lock:
            prompt = conversation_prompt(
                self._tokenizer, pairs(turns, self._plainformat_spaces), airoboros=self.airoboros
            )
            for text in stream(self._model, self._tokenizer, prompt, sampling):
                answered = [*turns, {'role': 'assistant', 'content': text}]
                yield for_display(answered), answered, ''


def pairs(turns: list[Message], spaces: int | None = None) -> list[tuple[str, str | None]]:
    """(user, assistant) pairs of a conversation whose last message is the user's, PLAINFORMAT where it was asked for."""
    found: list[tuple[str, str | None]] = []
    for turn in turns:
        if turn['role'] == 'user':
            found.append((add_plainformat(turn['content'], spaces) if turn.get('plain') else turn['content'], None))
        else:
            found[-1] = (found[-1][0], turn['content'])
    return found


def for_display(turns: list[Message]) -> list[Message]:
    """The conversation as the chatbot shows it: answers asked for as PLAINFORMAT as code blocks."""
    shown, plain = [], False
    for turn in turns:
        content = turn['content']
        if turn['role'] == 'user':
            plain = bool(turn.get('plain'))
        elif plain and not content.lstrip().startswith('`'):
            content = as_code_block(content)
        shown.append({'role': turn['role'], 'content': content})
    return shown
