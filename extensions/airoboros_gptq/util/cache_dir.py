"""The cache directory: compiled kernels, synthetic models. Standard library alone."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def cache_folder() -> Path:
    """$AIROBOROS_GPTQ_CACHE, else `airoboros_gptq` where the system keeps users' caches. It need not exist.

    A user without a home has it in the temporary directory, under a name that anyone can guess: who loads code from here
    asks util.file_trust first.
    """
    if named := os.environ.get('AIROBOROS_GPTQ_CACHE'):
        return Path(named)
    with suppress(RuntimeError):  # a user without a home
        folder = _user_cache()
        if folder.is_absolute():
            return folder / 'airoboros_gptq'
    return Path(tempfile.gettempdir(), f'airoboros_gptq-{getattr(os, "getuid", lambda: "user")()}')


def make_private(folder: Path) -> None:
    """Makes a folder and those above it, for this user alone. Raises OSError where it cannot be made.

    One that an earlier version made under a lax umask is closed to other users' writes; a folder of another name is left
    as it is.
    """
    for path in (*reversed(folder.absolute().parents), folder):
        if not path.is_dir():
            with suppress(FileExistsError):
                path.mkdir(stat.S_IRWXU)
    mode = folder.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and folder.name.startswith('airoboros_gptq'):
        with suppress(PermissionError):  # another user's
            folder.chmod(stat.S_IMODE(mode) & ~(stat.S_IWGRP | stat.S_IWOTH))


def _user_cache() -> Path:
    if sys.platform == 'win32':
        local = os.environ.get('LOCALAPPDATA')
        return Path(local) if local else Path.home() / 'AppData' / 'Local'
    if sys.platform == 'darwin':
        return Path.home() / 'Library' / 'Caches'
    named = os.environ.get('XDG_CACHE_HOME')
    return Path(named) if named and Path(named).is_absolute() else Path.home() / '.cache'
