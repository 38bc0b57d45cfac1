"""What an install consists of: the extension, its presets and templates, and the start hook."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from . import HOOK, NAME, ROOT, InstallError
from .files import fingerprint
from .webui_tree import Webui

PRESETS, TEMPLATES = 'presets', 'instruction-templates'
# Their files go into the webui's folders of the same names.
COPIED_FOLDERS = PRESETS, TEMPLATES
# Folders of the package that stay out of a webui. The demo page is what one uses without a webui.
NOT_COPIED = ('demo',)
HOOK_SOURCE = 'installer', 'start_hook'
HOOK_ENTRY = 'METADATA', 'entry_points.txt'
# The hook's module in 0.1.0, for a webui whose manifest is gone because the extension's folder was deleted by hand.
EARLIER_HOOKS = ('4bf6f6a2996c2af72ab232f90b24131b6b9ff4b3cd19917a2c71b79a2f7644bc',)


@dataclass(frozen=True)
class Part:
    """One file of an install, or one link."""

    source: Path
    fingerprint: str  # of what is installed
    is_link: bool = False


def find_parts(webui: Webui, link: bool, hook: bool) -> dict[str, Part]:
    """The parts of an install by their paths relative to the webui."""
    extension = ROOT / 'extensions' / NAME
    package = [path for path in extension.rglob('*') if path.is_file() and _is_wanted(path.relative_to(extension))]
    if extension / 'script.py' not in package:
        raise InstallError(f'{extension} is not complete: run install.py from a complete copy of the project.')
    sources = {webui.extension / path.relative_to(extension): path for path in package}
    if link:
        sources = {webui.extension: extension}
    for folder in COPIED_FOLDERS:
        sources |= {webui.data / folder / path.name: path for path in (ROOT / folder).glob('*.yaml')}
    if not link:  # the extension reads its own copies: the webui may have a wrong template of the same name
        sources |= {webui.extension / TEMPLATES / path.name: path for path in (ROOT / TEMPLATES).glob('*.yaml')}
    parts = {
        webui.rel(target): Part(source, f'link:{source}' if link else str(fingerprint(source)), link)
        for target, source in sorted(sources.items())
    }
    return parts | hook_parts(webui) if hook else parts


def hook_parts(webui: Webui) -> dict[str, Part]:
    """The start hook's files. They are copied in link mode too: PyTorch would trip over a link that leads nowhere."""
    folder = ROOT.joinpath(*HOOK_SOURCE)
    sources = {webui.hook_module: folder / f'{HOOK}.py'}
    sources |= {webui.hook_entry / name: folder / name for name in HOOK_ENTRY}
    missing = [str(source) for source in sources.values() if not source.is_file()]
    if missing:
        raise InstallError(f'{missing[0]} is missing: run install.py from a complete copy of the project.')
    return {webui.rel(target): Part(source, str(fingerprint(source))) for target, source in sources.items()}


def known_hooks(webui: Webui) -> dict[str, list[str]]:
    """The fingerprints of the hook's files in this version and earlier ones: with or without a manifest, not the user's."""
    known = {rel: [part.fingerprint] for rel, part in hook_parts(webui).items()}
    known[webui.rel(webui.hook_module)] += EARLIER_HOOKS
    return known


def can_have_hook(webui: Webui) -> bool:
    """Whether the start hook can be put beside server.py."""
    return os.access(webui.root, os.W_OK)


def _is_wanted(path: Path) -> bool:
    hidden = any(part.startswith(('.', '__pycache__')) for part in path.parts)
    return not hidden and path.suffix != '.pyc' and path.parts[0] not in NOT_COPIED
