"""Loads a model for the webui: reads its settings, calls the core, keeps what the panel and the status line show."""

from __future__ import annotations

import sys
from functools import lru_cache, partial
from pathlib import Path

from modules import shared
from modules.logging_colors import logger

from ..airoboros.versions import Airoboros, recognise
from ..checkpoint.hf_config import read_json
from ..checkpoint.quantize_config import is_gptq_folder
from ..checkpoint.weight_files import list_checkpoints
from ..errors import GPTQError, first_line
from ..names import CHECKPOINT, FORMAT, KERNEL, LOADER
from ..preflight.folder_summary import FolderSummary, named_format, read_selected, read_summary
from . import patches, versions
from .memory_limits import max_memory

params: dict = {}  # script.py's, which the webui fills from settings.yaml
last_error: str | None = None
progress = None  # a gr.Progress while a Load button waits
_running = ''
_meter = None  # core.meter.Meter of the loaded model
_loaded: tuple[Path, str, str] | None = None  # folder, checkpoint and format


def model_folder(model_name) -> Path | None:
    """The folder of a model by its name in the dropdown; None for 'None' and for a name without a folder."""
    if model_name in (None, '', 'None'):
        return None
    for folder in (Path(model_name), Path(shared.args.model_dir) / model_name):
        if folder.is_dir():
            return folder
    return None


def is_ours(model_name) -> bool:
    """Whether a model is a GPTQ folder. Two small files are read; never raises."""
    folder = model_folder(model_name)
    return folder is not None and is_gptq_folder(folder)


def is_loaded() -> bool:
    """Whether the model that is loaded now was loaded by us."""
    return shared.model is not None and shared.args.loader == LOADER


def answers_next() -> bool:
    """Whether the next answer comes from a model of ours: from the one that is loaded, or from one that --idle-timeout put
    away, which the webui loads again once the prompt is made.
    """
    if shared.model is not None or not getattr(shared.args, 'idle_timeout', 0):
        return is_loaded()
    return shared.args.loader == LOADER and is_ours(shared.model_name)


def running(of: FolderSummary) -> str:
    """How this checkpoint runs, in a few words; empty where it is not the one that is loaded."""
    return _running if is_loaded() and of.identity == _loaded else ''


def glance() -> tuple[str, ...]:
    """What is loaded, how it runs, how fast the last answer came, and what memory is taken; nothing without a model of
    ours. With --multi-user the last answer may be another's, and how fast it was is nobody else's.
    """
    if not is_loaded() or _meter is None:
        return ()
    from ..generation.throughput import memory_taken

    pace = None if shared.args.multi_user else _meter.pace
    return Path(shared.model_name).name, _running, str(pace or ''), memory_taken(shared.model)


def airoboros() -> Airoboros | None:
    """The Airoboros that answers next; None for another model, another loader, or none. Reads two small files; never raises."""
    return family(shared.model_name) if answers_next() else None


def family(model_name) -> Airoboros | None:
    """The Airoboros that a folder holds, whatever became of its weights. Reads two small files; never raises."""
    folder = model_folder(model_name)
    if folder is None:
        return None
    try:
        claimed = read_json(folder / 'config.json').get('_name_or_path', '')
    except GPTQError:
        claimed = ''
    return recognise(folder, str(claimed))


def facts(model_name, checkpoint: str | None = None, checkpoint_format: str | None = None) -> FolderSummary:
    """What is read of a model's folder, on the device that loading takes. Raises GPTQError."""
    folder = model_folder(model_name)
    if folder is None:
        raise GPTQError(f'There is no model folder {model_name} in {shared.args.model_dir}.')
    # Which device None is, is guessed until torch is there.
    read = partial(_read, _state_of(folder), 'torch' in sys.modules)
    device = 'cpu' if shared.args.cpu else None
    return read_selected(folder, checkpoint, checkpoint_format, device, read).with_current_free_memory()


def checkpoints(model_name) -> list[str]:
    """The checkpoints of a model's folder, broken ones among them; none where that cannot be told."""
    try:
        return list_checkpoints(model_folder(model_name) or Path(model_name))
    except GPTQError:
        return []


@lru_cache(maxsize=16)  # a pick asks four times, and the headers of a 7B take a while
def _read(state, torch_is_there: bool, folder: Path, checkpoint, checkpoint_format, device) -> FolderSummary:
    """read_summary(), once for each state of a folder."""
    return read_summary(folder, checkpoint, checkpoint_format, device=device)


def _state_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time of change and size of each entry of a folder: alike as long as nobody has touched it."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            stat = path.stat()
        except OSError:  # a link into nothing, as of a cache that was cleared; reading it will have its sentence
            stat = path.lstat()
        found.append((path.name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def load(model_name):
    """(model, tokenizer), or (None, None) with the sentence in `last_error`, in the way of the webui's own loaders."""
    global last_error, _loaded
    last_error, _loaded = None, None
    try:
        return _load(model_name)
    except GPTQError as e:
        last_error = str(e)
        logger.error(last_error)
    except Exception as e:
        # Memory, drivers, a model class of transformers: the webui must go on, and the log gets the whole story.
        last_error = f'{model_name} could not be loaded ({first_line(e)}); the log has the details.'
        logger.exception(last_error)
    return None, None


def _load(model_name):
    global _running, _loaded, _meter
    asked = getattr(shared.args, FORMAT, 'auto')
    chosen = facts(model_name, getattr(shared.args, CHECKPOINT, ''), asked)
    chosen.checkpoint.read_ahead()  # the imports take seconds

    import torch

    from ..generation.throughput import Meter
    from ..model.load import describe_running
    from ..model.load import load as load_folder
    from ..model.tokenizer import keep_leading_space

    model, tokenizer = load_folder(
        chosen.folder,
        checkpoint=chosen.checkpoint.name,
        checkpoint_format=named_format(asked),
        kernel=getattr(shared.args, KERNEL, 'auto') or 'auto',
        device='cpu' if shared.args.cpu else None,
        dtype=torch.bfloat16 if shared.args.bf16 else None,
        attn_implementation=versions.attn_implementation(),
        use_fast=not shared.args.no_use_fast,
        trust_remote_code=shared.args.trust_remote_code,
        max_memory=max_memory(shared.args),
        progress=_report(chosen.folder.name),
    )
    patches.let_streams_have_ids_of_the_cpu()
    _running, _loaded, _meter = describe_running(model), chosen.identity, Meter(model)
    logger.info(f'{LOADER}: {_running}')
    # The webui streams by decoding the newest tokens alone.
    return model, keep_leading_space(tokenizer)


def _report(name: str):
    """Progress for the Load button where one waits; None (a bar in the terminal) elsewhere."""
    if progress is None:
        return None
    waiting = progress

    def report(done: int, total: int) -> None:
        waiting(done / max(total, 1), desc=f'Loading {name}')

    return report
