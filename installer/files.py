"""Files and folders: told apart, written whole or not at all, edited, removed."""

import hashlib
import os
import shutil
from pathlib import Path

from . import NAME, Stop


def fingerprint(path):
    """What stands at path: None, 'link:<where to>', a sha256, or 'folder'."""
    if path.is_symlink():
        return 'link:' + os.readlink(path).removeprefix('\\\\?\\')  # as Windows puts it
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return 'folder' if path.exists() else None


def temp_of(path):
    return path.with_name(f'.{path.name}.{NAME}.tmp')


def put(path, make):
    """Lets make(temp) create the new path, which then replaces the old one in one step: never half a file."""
    temp = temp_of(path)
    temp.unlink(missing_ok=True)
    try:
        make(temp)
        os.replace(temp, path)
    except OSError:
        temp.unlink(missing_ok=True)
        raise


def write(path, data):
    path = Path(os.path.realpath(path))  # a settings.yaml that is a link stays one

    def make(temp):
        temp.write_bytes(data)
        if path.exists():
            shutil.copymode(path, temp)

    put(path, make)


def check_writable(paths):
    """Says no before anything is written, rather than half way through."""
    for path in paths:
        folder = next(parent for parent in path.parents if parent.exists())
        if not folder.is_dir():
            raise Stop(f'{folder} is a file where a folder is expected: move it away and run this again.')
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Stop(f'{folder} cannot be written: run this as the user who owns it, or change its permissions.')


def edit(path, change):
    """Rewrites an existing file as change(bytes) says, deletes it if that is None; says so."""
    if not path.exists():
        return
    data = path.read_bytes()
    new = change(data)
    if new != data:
        path.unlink() if new is None else write(path, new)
        print(f'{path}: what named {NAME} was taken out.')


def remove_empty_folders(folders):
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and all(p.name == '__pycache__' for p in folder.iterdir()):
            shutil.rmtree(folder)
