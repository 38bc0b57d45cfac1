"""What a run that was killed may have left behind under names of install.py's own."""

from __future__ import annotations

import os
from pathlib import Path

from . import NAME, files, hook
from .manifest import Manifest
from .webui_tree import Webui


def remove_leftovers(webui: Webui, manifest: Manifest | None) -> None:
    """Deletes staged content that was never put in its place."""
    targets = [webui.at(rel) for rel in (manifest['files'] if manifest else [])]
    targets += [Path(os.path.realpath(path)) for path in (webui.settings, webui.models_config)]
    targets += [*webui.manifests.values(), *webui.journals, webui.hook_module, webui.hook_entry]
    # Where install.py tried to make a link.
    targets += [folder / NAME for folder in (webui.extension.parent, webui.extension.parent.parent, webui.root)]
    for target in targets:
        if os.path.lexists(files.temp_path(target)):
            files.remove(files.temp_path(target))
    files.remove(hook.old_entry(webui))


def holds_nothing(folder: Path) -> bool:
    """Whether a folder is empty, but for what Python compiled and such leftovers."""
    own = f'.{NAME}.tmp'
    return folder.is_dir() and all(path.name == '__pycache__' or path.name.endswith(own) for path in folder.iterdir())
