"""One model at a time, loaded from a folder: what the webui and the demo page share. Imports torch when it loads."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .airoboros.versions import Airoboros, detect_version
from .checkpoint.hf_config import read_hf_config
from .errors import GPTQError
from .preflight.folder_summary import FolderSummary, read_selected, read_summary

FolderState = tuple[tuple[str, int, int], ...]
_MAX_SUMMARIES = 16


@dataclass(frozen=True)
class _Loaded:
    """The model of a session and how it was loaded."""

    summary: FolderSummary
    model: Callable[[], Any]  # returns None once the model is gone
    tokenizer: Any
    running: str


class ModelSession:
    """Reads folders, loads a model from one of them, and says how it runs.

    With `owns_model` the session keeps model and tokenizer until unload(). Without it the caller of load() keeps them, and
    the session forgets the model once the caller has let go of it.
    """

    def __init__(self, *, owns_model: bool = True):
        self._owns_model = owns_model
        self._loaded_model: _Loaded | None = None
        # The webui asks four times at a pick, and the headers of a 7B take a while to read.
        self._cached_read = functools.lru_cache(maxsize=_MAX_SUMMARIES)(_read)
        self.lock = threading.Lock()  # held by load() and unload(), and by whoever generates

    def summary(
        self,
        folder: Path,
        checkpoint: str | None = None,
        checkpoint_format: str | None = None,
        device: str | None = None,
        kernel: str = 'auto',
    ) -> FolderSummary:
        """The summary of a folder, with the memory that is free now or that the loaded model takes, which a load lets go
        first. A folder is read again only after it has changed.

        `checkpoint` and `checkpoint_format` may be what a menu holds: '' and 'auto' leave the choice to the folder.
        `device` None is the one that load() takes. Raises GPTQError with the sentence for what is wrong.
        """
        # The default device is guessed from the driver until torch is imported, so the guess is part of the key.
        read = functools.partial(self._cached_read, _folder_state(folder), 'torch' in sys.modules)
        summary = read_selected(folder, checkpoint, checkpoint_format, device, read, kernel)
        loaded = self._loaded
        return summary.with_current_free_memory(loaded.summary.memory if loaded else None)

    def load(
        self,
        folder: Path,
        checkpoint: str | None = None,
        checkpoint_format: str | None = None,
        *,
        kernel: str = 'auto',
        device: str | None = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Replaces the loaded model: (model, tokenizer). `options` are those of `model.load.load`.

        Raises GPTQError, and what memory and drivers raise. A folder that cannot be read leaves the loaded model in place;
        any later error leaves none.
        """
        summary = self.summary(folder, checkpoint, checkpoint_format, device, kernel)
        self.unload()
        from .model.load import load

        with self.lock:
            model: Any
            model, tokenizer = load(summary, kernel=kernel, device=device, **options)
            get_model = (lambda: model) if self._owns_model else weakref.ref(model)
            kept_tokenizer = tokenizer if self._owns_model else None
            runtime: Any = model.gptq
            self._loaded_model = _Loaded(summary, get_model, kept_tokenizer, runtime.description)
        return model, tokenizer

    def unload(self) -> None:
        """Forgets the loaded model; where the session owns it, its memory is free afterwards."""
        with self.lock:
            self._loaded_model = None
            if self._owns_model:
                gc.collect()

    @property
    def _loaded(self) -> _Loaded | None:
        loaded = self._loaded_model
        return loaded if loaded is not None and loaded.model() is not None else None

    @property
    def model(self) -> Any:
        """The loaded transformers model, or None."""
        return self._loaded.model() if self._loaded else None

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the loaded model, or None: also where the session does not own the model."""
        return self._loaded.tokenizer if self._loaded else None

    @property
    def airoboros(self) -> Airoboros | None:
        """The Airoboros version of the loaded model; None for another model, or none."""
        return self._loaded.summary.airoboros if self._loaded else None

    @property
    def running(self) -> str:
        """How the loaded model runs, as 'native-cpu on cpu, bfloat16'; '' without one."""
        return self._loaded.running if self._loaded else ''

    def running_as(self, summary: FolderSummary) -> str:
        """`running` where the loaded model is the summary's folder, checkpoint and format; '' otherwise."""
        loaded = self._loaded
        return loaded.running if loaded and loaded.summary.identity == summary.identity else ''

    @property
    def throughput(self) -> str:
        """Tokens per second of the last answer, or of the one that is being generated, as '7.5 tokens/s'; '' before any."""
        model = self.model
        return '' if model is None else str(model.gptq.throughput or '')

    @property
    def memory_used(self) -> str:
        """GPU memory of weights and caches, or the RAM of the process, as 'GPU: 4.52 GB'; '' without a model."""
        model = self.model
        return '' if model is None else str(model.gptq.memory_used)


def detect_folder_version(folder: Path) -> Airoboros | None:
    """The Airoboros version that a folder holds, whatever the state of its weights; None for another model.

    Reads two small files; never raises GPTQError.
    """
    try:
        original_name = (read_hf_config(folder) or {}).get('_name_or_path', '')
    except GPTQError:
        original_name = ''
    return detect_version(folder, str(original_name))


def _read(
    state: FolderState,
    torch_imported: bool,
    folder: Path,
    checkpoint: str | None,
    checkpoint_format: str | None,
    device: str | None,
    kernel: str,
) -> FolderSummary:
    """read_summary(); `state` and `torch_imported` are there for the cache's key."""
    return read_summary(folder, checkpoint, checkpoint_format, device=device, kernel=kernel)


def _folder_state(folder: Path) -> FolderState:
    """Name, mtime in ns and size of each entry of a folder: equal while nothing in it has changed; () without a folder."""
    entries = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            stat = path.stat()
        except OSError:  # a dangling link, as of a cache that was cleared; reading it raises the sentence
            stat = path.lstat()
        entries.append((path.name, stat.st_mtime_ns, stat.st_size))
    return tuple(entries)
