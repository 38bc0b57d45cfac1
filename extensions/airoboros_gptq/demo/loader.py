"""Loads the demo's model in a thread of its own, and says what is going on: the same for every browser and tab."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import GPTQError
from ..session import ModelSession

log = logging.getLogger('airoboros_gptq')


@dataclass(frozen=True)
class LoadRequest:
    """A folder, and what the menus say of it: `checkpoint` '' and `format` 'auto' leave the choice to the folder."""

    folder: Path
    checkpoint: str = ''
    format: str = 'auto'
    kernel: str = 'auto'


@dataclass(frozen=True)
class LoadState:
    """What the loader does or did last. `version` grows when a load begins or ends, `loads` when one begins;
    `step` and `share`, from 0 to 1, say how far it is; `error` is the sentence of the last load if that failed.
    """

    version: int = 0
    loads: int = 0
    request: LoadRequest | None = None
    loading: bool = False
    step: str = ''
    share: float | None = None
    error: str = ''
    began: float = 0.0  # time.monotonic()


class ModelLoader:
    """One load at a time, into `session`."""

    def __init__(self, session: ModelSession):
        self.session = session
        self.loaded: LoadRequest | None = None
        self._state = LoadState()
        self._lock = threading.Lock()  # guards the state
        self._idle = threading.Event()
        self._idle.set()

    @property
    def state(self) -> LoadState:
        return self._state

    def start(self, request: LoadRequest) -> bool:
        """Begins a load and returns at once; False where one is under way already."""
        with self._lock:
            if self._state.loading:
                return False
            self._idle.clear()
            version, loads = self._state.version + 1, self._state.loads + 1
            self._state = LoadState(version, loads, request, loading=True, began=time.monotonic())
        threading.Thread(target=self._load, args=(request,), daemon=True, name='airoboros_gptq load').start()
        return True

    def wait(self, timeout: float) -> bool:
        """Waits until nothing is loading, `timeout` seconds at most; whether it is so."""
        return self._idle.wait(timeout)

    def unload(self) -> None:
        """Frees the model, after the answer that is being written; does nothing while one is loading."""
        if not self._state.loading:
            self.session.unload()
            self.loaded = None
            self._change(version=self._state.version + 1, error='')

    def _load(self, request: LoadRequest) -> None:
        error = ''
        if self.session.lock.locked():
            self._change(step='waiting for the answer that is being written')
        try:
            self.session.load(
                request.folder,
                request.checkpoint,
                request.format,
                kernel=request.kernel,
                progress=lambda done, total: self._change(share=done / total if total else None),
                step=lambda step: self._change(step=step),
            )
            self.loaded = request
        except GPTQError as e:
            error = str(e)
        except Exception as e:  # a driver, a full memory: the page says so, and the terminal says where
            log.exception('%s could not be loaded', request.folder)
            error = f'{request.folder.name} could not be loaded ({type(e).__name__}: {e}); the terminal says more.'
        if self.session.model is None:
            self.loaded = None
        self._change(version=self._state.version + 1, loading=False, step='', share=None, error=error)
        self._idle.set()

    def _change(self, **fields: object) -> None:
        with self._lock:
            self._state = replace(self._state, **fields)  # type: ignore[arg-type]
