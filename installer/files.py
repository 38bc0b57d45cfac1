"""Files and folders: compared, written whole or not at all, removed.

A file is written in two steps. stage_*() writes it under a name of its own beside the target, which may fail, as on a
full disk; commit() renames it into place, which hardly can.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import NAME, InstallError


def fingerprint(path: Path) -> str | None:
    """What is at a path: a sha256 in hex, 'link:TARGET', 'folder', or None."""
    if path.is_symlink():
        return 'link:' + os.readlink(path).removeprefix('\\\\?\\')  # Windows adds it
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return 'folder' if path.exists() else None


def temp_path(path: Path) -> Path:
    """Where the new content of `path` is staged. Whatever has such a name is a leftover of install.py."""
    return path.with_name(f'.{path.name}.{NAME}.tmp')


def stage_bytes(path: Path, data: bytes) -> None:
    """Stages a file with the permissions of the one that it replaces."""
    remove(temp_path(path))
    temp_path(path).write_bytes(data)
    if path.exists() and not path.is_symlink():
        shutil.copymode(path, temp_path(path))


def stage_link(path: Path, target: Path) -> None:
    """Stages a symbolic link."""
    remove(temp_path(path))
    temp_path(path).symlink_to(target, target.is_dir())


def commit(path: Path) -> None:
    """Puts what is staged for `path` in its place, in one rename."""
    os.replace(temp_path(path), path)


def write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; a symbolic link stays one."""
    path = Path(os.path.realpath(path))
    try:
        stage_bytes(path, data)
        commit(path)
    except OSError:
        remove(temp_path(path))
        raise


def remove(path: Path) -> None:
    """Deletes a file, a link or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Has the system write a file or the entries of a folder to the disk, where it can."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_writable(paths: Iterable[Path]) -> None:
    """Raises InstallError for the first path that cannot be created or replaced."""
    for path in paths:
        folder = next(parent for parent in path.parents if parent.exists())
        if not folder.is_dir():
            raise InstallError(f'{folder} is a file where a folder is expected: move it away and run this again.')
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InstallError(f'{folder} cannot be written: run this as its owner, or change its permissions.')


def remove_caches(folder: Path) -> None:
    """Deletes every __pycache__ in a folder. Links are not followed."""
    for parent, folders, _ in os.walk(folder):
        if '__pycache__' in folders:
            folders.remove('__pycache__')
            remove(Path(parent, '__pycache__'))


def remove_empty_folders(folders: Iterable[Path]) -> None:
    """Deletes those folders that hold nothing, or nothing but other such folders and __pycache__."""
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and all(p.name == '__pycache__' for p in folder.iterdir()):
            shutil.rmtree(folder)
