"""The loader airoboros-GPTQ: reads the webui's settings, loads through a ModelSession, and knows which model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modules import shared
from modules.logging_colors import logger

from ..airoboros.versions import Airoboros
from ..checkpoint.quantize_config import is_gptq_folder
from ..checkpoint.weight_files import list_checkpoints
from ..errors import GPTQError, first_line
from ..kernels.rules import REMOVED_KERNELS
from ..names import CHECKPOINT, EXTENSION, FORMAT, KERNEL, LOADER, MODEL_SETTINGS
from ..preflight.folder_summary import FolderSummary
from ..session import ModelSession, detect_folder_version
from . import token_stream, versions
from .memory_limits import max_memory


class GPTQLoader:
    """The extension's state in a webui: its settings, the session, and what the last load said."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}  # the `params` of script.py, the dict itself: the webui reads and saves it
        self.session = ModelSession(owns_model=False)  # the webui owns it, as shared.model
        self.load_error: str | None = None  # why the last load failed, in one sentence
        self.loaded_off_page = False  # by --model or the API, and no page has opened since
        self._progress: Any = None  # the gr.Progress of the Load button while it waits
        self._warned: set[tuple[str, str]] = set()  # (model, removed kernel): a pick asks several times

    # Which model

    def folder(self, model_name: str | None) -> Path | None:
        """The folder of a model by its name in the menu; None for 'None' and for a name without a folder."""
        if model_name in (None, '', 'None'):
            return None
        folders = Path(model_name), Path(shared.args.model_dir) / model_name
        return next((folder for folder in folders if folder.is_dir()), None)

    def is_gptq(self, model_name: str | None) -> bool:
        """Whether a model is a GPTQ folder. Reads two small files; never raises."""
        folder = self.folder(model_name)
        return folder is not None and is_gptq_folder(folder)

    def is_loaded(self) -> bool:
        """Whether this loader loaded the model that is loaded now. shared.args has its name already when a GPTQ model is picked
        while another loader's is loaded.
        """
        return shared.args.loader == LOADER and getattr(shared.model, 'gptq', None) is not None

    def is_active(self) -> bool:
        """Whether a model of this loader gives the next answer: the loaded one, or one that --idle-timeout has unloaded,
        which the webui loads again after it has made the prompt.
        """
        if shared.model is not None or not getattr(shared.args, 'idle_timeout', 0):
            return self.is_loaded()
        return shared.args.loader == LOADER and self.is_gptq(shared.model_name)

    def airoboros(self) -> Airoboros | None:
        """The Airoboros version that gives the next answer; None for another model or loader. Never raises."""
        return self.airoboros_of(shared.model_name) if self.is_active() else None

    def airoboros_of(self, model_name: str | None) -> Airoboros | None:
        """The Airoboros version that a model's folder holds, whatever the state of its weights. Never raises."""
        folder = self.folder(model_name)
        return None if folder is None else detect_folder_version(folder)

    # What the panel and the status line show

    def summary(
        self,
        model_name: str | None,
        checkpoint: str | None = None,
        checkpoint_format: str | None = None,
        kernel: str = 'auto',
    ) -> FolderSummary:
        """The summary of a model's folder for the device that loading takes. Raises GPTQError."""
        folder = self._existing_folder(model_name)
        return self.session.summary(folder, checkpoint, checkpoint_format, self._device(), kernel)

    def checkpoints(self, model_name: str) -> list[str]:
        """The checkpoints of a model's folder, broken ones included; none where they cannot be listed."""
        try:
            return list_checkpoints(self.folder(model_name) or Path(model_name))
        except GPTQError:
            return []

    def running_as(self, summary: FolderSummary) -> str:
        """How the summary's checkpoint runs, as 'native-cpu on cpu, bfloat16'; '' where it is not the one loaded."""
        return self.session.running_as(summary) if self.is_loaded() else ''

    def status(self) -> tuple[str, ...]:
        """Name, kernel and device, throughput and memory of the loaded model; empty with another loader, or without one.

        With --multi-user the throughput is left out: the last answer may have been another user's.
        """
        session = self.session
        if not self.is_loaded() or not session.running:
            return ()
        throughput = '' if shared.args.multi_user else session.throughput
        return Path(shared.model_name).name, session.running, throughput, session.memory_used

    # Generating

    @contextmanager
    def stopping_when(self, condition: Callable[[], bool]) -> Iterator[None]:
        """Generations of the loaded model that begin within this context end at the next token where `condition` is met."""
        runtime = shared.model.gptq
        runtime.should_stop = condition
        try:
            yield
        finally:
            runtime.should_stop = None

    # Loading

    def kernel_or_auto(self, kernel: str | None, model_name: str) -> str:
        """A kernel's name as it was saved, or as an API client gave it; 'auto' for none, and for one that was removed."""
        if kernel not in REMOVED_KERNELS:
            return kernel or 'auto'
        if (model_name, kernel) not in self._warned:
            self._warned.add((model_name, kernel))
            logger.warning(
                f'{EXTENSION}: the kernel {kernel}, set for {model_name}, was removed; auto is used instead.'
            )
        return 'auto'

    @contextmanager
    def reporting_to(self, progress: Any, name: str) -> Iterator[None]:
        """Shows the progress of a load of the model `name` on a gr.Progress, and clears the last error."""
        self.load_error, self._progress = None, progress
        progress(0, desc=f'Loading {name}')
        try:
            yield
        finally:
            self._progress = None

    @property
    def is_loading_from_page(self) -> bool:
        """Whether the Load button of a page waits for this load."""
        return self._progress is not None

    def load(self, model_name: str) -> tuple[Any, Any]:
        """(model, tokenizer); (None, None) with `load_error` set, as the webui's own loaders signal failure."""
        self.load_error = None
        try:
            return self._load(model_name)
        except GPTQError as e:
            self.load_error = str(e)
            logger.error(self.load_error)
        except Exception as e:
            # Memory, drivers, a model class of transformers: the webui must go on, and the log gets the traceback.
            self.load_error = f'{model_name} could not be loaded ({first_line(e)}); the log has the details.'
            logger.exception(self.load_error)
        return None, None

    def _load(self, model_name: str) -> tuple[Any, Any]:
        folder = self._existing_folder(model_name)
        model, tokenizer = self.session.load(
            folder,
            _text_argument(CHECKPOINT),
            _text_argument(FORMAT) or 'auto',
            kernel=self.kernel_or_auto(_text_argument(KERNEL), model_name),
            device=self._device(),
            dtype='bfloat16' if shared.args.bf16 else None,
            attn_implementation=versions.attn_implementation(),
            use_fast=not shared.args.no_use_fast,
            trust_remote_code=shared.args.trust_remote_code,
            max_memory=max_memory(shared.args),
            progress=self._report(model_name),
        )
        from ..generation.detokenizer import keep_leading_space

        token_stream.send_ids_on_cpu()
        logger.info(f'{LOADER}: {self.session.running}')
        # The webui streams by decoding the newest tokens alone.
        return model, keep_leading_space(tokenizer)

    def _existing_folder(self, model_name: str | None) -> Path:
        folder = self.folder(model_name)
        if folder is None:
            raise GPTQError(f'There is no model folder {model_name} in {shared.args.model_dir}.')
        return folder

    def _device(self) -> str | None:
        return 'cpu' if shared.args.cpu else None

    def _report(self, name: str) -> Callable[[int, int], None] | None:
        """Progress for the Load button while it waits; None, a bar in the terminal, otherwise."""
        progress = self._progress
        if progress is None:
            return None
        return lambda done, total: progress(done / max(total, 1), desc=f'Loading {name}')


def _text_argument(name: str) -> str:
    """An argument of this loader as the page, a file or an API client gave it; '' for none. Raises GPTQError for anything but
    text, and forgets it: the page could not show it.
    """
    value = getattr(shared.args, name, None)
    if value is None or isinstance(value, str):
        return value or ''
    setattr(shared.args, name, MODEL_SETTINGS[name])
    shown = ascii(value)
    raise GPTQError(f'{name} must be text, not {shown if len(shown) <= 40 else shown[:40] + "..."}.')


gptq_loader = GPTQLoader()
