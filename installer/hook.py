"""The start hook in a webui: a module that PyTorch imports, and the .dist-info folder that tells it so.

An entry point without its module makes `import torch` fail, and the webui with it. So the module goes in before the
entry point and comes out after it, and the folder with the entry point appears and disappears by one rename.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import NAME, files
from .payload import HOOK_ENTRY, Part
from .webui_tree import Webui


def is_whole(webui: Webui, known: dict[str, list[str]]) -> bool:
    """Whether the .dist-info folder holds nothing but files with fingerprints in `known`, or is not there."""
    entry = webui.hook_entry
    if not os.path.lexists(entry):
        return True
    if entry.is_symlink() or not entry.is_dir():
        return False
    inside = [path for path in entry.iterdir() if not _is_temp(path)]
    return all(files.fingerprint(path) in known.get(webui.rel(path), []) for path in inside)


def paths(webui: Webui) -> list[Path]:
    """The files of the hook."""
    return [webui.hook_module, *(webui.hook_entry / name for name in HOOK_ENTRY)]


def stage_entry(webui: Webui, parts: dict[str, Part]) -> None:
    """Stages the .dist-info folder."""
    folder = files.temp_path(webui.hook_entry)
    files.remove(folder)
    folder.mkdir()
    for name in HOOK_ENTRY:
        (folder / name).write_bytes(parts[webui.rel(webui.hook_entry / name)].source.read_bytes())
        files.sync(folder / name)


def commit_entry(webui: Webui) -> None:
    """Puts the staged folder in place of an older one. The module must be there by now."""
    files.sync(webui.hook_module)
    files.sync(webui.root)
    remove_whole_entry(webui)
    os.rename(files.temp_path(webui.hook_entry), webui.hook_entry)
    files.sync(webui.root)


def remove_whole_entry(webui: Webui) -> None:
    """Deletes the .dist-info folder. Renamed, it is no distribution any more."""
    if webui.hook_entry.is_dir():
        files.remove(old_entry(webui))
        os.rename(webui.hook_entry, old_entry(webui))
        files.sync(webui.root)
    files.remove(old_entry(webui))


def remove(webui: Webui, known: dict[str, list[str]]) -> None:
    """Deletes the hook, except files that were edited. An entry point that stays keeps its module."""
    if is_whole(webui, known):
        remove_whole_entry(webui)
    for path in (*(webui.hook_entry / name for name in reversed(HOOK_ENTRY)), webui.hook_module):
        has_entry_point = (webui.hook_entry / 'entry_points.txt').exists()
        ours = files.fingerprint(path) in known.get(webui.rel(path), [])
        if ours and not (path == webui.hook_module and has_entry_point):
            path.unlink()
    if not webui.hook_module.exists():
        remove_compiled(webui)


def remove_compiled(webui: Webui) -> None:
    """Deletes what Python compiled of the module."""
    folder = webui.root / '__pycache__'
    if folder.is_dir():
        for path in folder.glob(f'{webui.hook_module.stem}.*'):
            path.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def old_entry(webui: Webui) -> Path:
    """The name that the .dist-info folder has while it is deleted."""
    return webui.hook_entry.with_name(f'.{webui.hook_entry.name}.{NAME}.old')


def _is_temp(path: Path) -> bool:
    return path.name.endswith(f'.{NAME}.tmp')
