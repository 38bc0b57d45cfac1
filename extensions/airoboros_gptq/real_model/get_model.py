"""Gets the model: all of it, or nothing. It is made in a folder of its own, which is renamed at the end."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from ..errors import GPTQError
from ..util.cache_dir import cache_folder, make_private
from ..util.formatting import round_bytes
from .download import download_gguf
from .make_folder import make_folder
from .source import NEEDED_BYTES, model_folder

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


def get_model(say: Say, progress: Progress) -> Path:
    """The model's folder, which is made where it is not there. `say(step)` is called as a step begins, `progress(done, total)`
    while the tensors are quantised. Raises GPTQError where the download fails or the disk is full.
    """
    folder = model_folder()
    if folder.is_dir():
        return folder
    cache = cache_folder()
    temp = cache / f'real-model.{os.getpid()}.tmp'
    try:
        make_private(folder.parent)
        _remove_leftovers(cache)
        if shutil.disk_usage(cache).free < NEEDED_BYTES:
            raise OSError(None, 'too little space is free')
        temp.mkdir()
        say('downloading')
        gguf, licence = download_gguf(temp)
        say('quantising')
        make_folder(gguf, licence, temp / 'model', progress)
        try:
            (temp / 'model').rename(folder)
        except OSError:
            if not folder.is_dir():  # another run was faster
                raise
    except OSError as e:
        raise GPTQError(
            f'{folder} could not be made ({e.strerror or e}): it needs {round_bytes(NEEDED_BYTES)} while it is made; free '
            'some, or name another folder in AIROBOROS_GPTQ_CACHE. Nothing was left behind.'
        ) from e
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    return folder


def _remove_leftovers(cache: Path) -> None:
    """Removes what runs that were killed have left."""
    import psutil

    for left in cache.glob('real-model.*.tmp'):
        pid = re.fullmatch(r'real-model\.(\d{1,9})\.tmp', left.name)
        if pid and (int(pid[1]) == os.getpid() or not psutil.pid_exists(int(pid[1]))):
            shutil.rmtree(left, ignore_errors=True)
