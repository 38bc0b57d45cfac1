"""What install.py remembers in a webui of what it wrote there: the manifest, and the journal of a run under way.

The manifest lies inside the extension's folder, so that deleting that folder takes it along; in link mode it lies beside
the link, or it would land in this project. The journal lies in a folder that was there before. It is the first thing
that a run writes and the last that it deletes, so that a run that was killed can be finished, or undone.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any, TypedDict, cast

from . import NAME, InstallError, files
from .payload import COPIED_FOLDERS, HOOK_ENTRY
from .webui_tree import Webui

FINGERPRINT = re.compile(r'[0-9a-f]{64}|link:.+', re.DOTALL)


class SettingsRecord(TypedDict):
    """settings.yaml before and after the extension was enabled: base64, or None where there was no file."""

    before: str | None
    after: str | None


class Manifest(TypedDict):
    """What is installed."""

    mode: str  # 'copy' or 'link'
    version: str
    extension: str  # relative to the webui, as all paths here
    files: dict[str, list[str]]  # the fingerprints of what install.py wrote to each path
    folders: list[str]  # those that install.py made
    settings: SettingsRecord | None


def read_manifest(webui: Webui) -> Manifest | None:
    """What is, or may be, installed; None where nothing is. Raises InstallError for a manifest that is damaged."""
    for path in webui.journals:
        if path.is_file():
            return _read(webui, path, None)
    for mode, path in webui.manifests.items():
        if path.is_file() and not (mode == 'copy' and webui.extension.is_symlink()):
            return _read(webui, path, mode)
    return None


def is_unfinished(webui: Webui) -> bool:
    """Whether a run was killed before it had done everything."""
    return any(path.is_file() for path in webui.journals)


def begin(webui: Webui, manifest: Manifest) -> None:
    """Writes the journal of an install: the files before and after it."""
    files.write(_journal(webui), dump(manifest))


def begin_uninstall(webui: Webui, manifest: Manifest) -> None:
    """Makes the manifest the journal, by a rename where possible: that needs no space on a full disk."""
    if is_unfinished(webui):
        return
    path = webui.manifests[manifest['mode']]
    if path.read_bytes() != dump(manifest):  # 0.1.0 did not write all that a journal needs
        with contextlib.suppress(OSError):
            begin(webui, manifest)
            return
    try:
        os.replace(path, _journal(webui))
    except OSError:  # another file system
        begin(webui, manifest)


def finish(webui: Webui) -> None:
    """Deletes the journal."""
    for path in webui.journals:
        path.unlink(missing_ok=True)


def dump(manifest: Manifest) -> bytes:
    """The bytes of a manifest's file."""
    return (json.dumps(manifest, indent=1, sort_keys=True) + '\n').encode()


def encode(data: bytes | None) -> str | None:
    """Bytes as JSON can hold them."""
    return None if data is None else base64.b64encode(data).decode()


def decode(text: str | None) -> bytes | None:
    """The bytes that encode() was given."""
    return None if text is None else base64.b64decode(text, validate=True)


def _journal(webui: Webui) -> Path:
    first, second = webui.journals
    return first if os.access(first.parent, os.W_OK) else second


def _read(webui: Webui, path: Path, mode: str | None) -> Manifest:
    damaged = f'{path} is damaged, so what belongs to {NAME} is unknown'
    try:
        content = json.loads(path.read_text('utf-8'))
        content = {'version': '0.1.0', 'extension': webui.rel(webui.extension), **content}
        manifest = cast(Manifest, content)
        _check_types(content, mode)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InstallError(f'{damaged}: delete {path} and {webui.extension} by hand.') from None
    allowed = _Allowed(webui, manifest['mode'])
    outside = [rel for rel in manifest['files'] if not allowed.file(webui.at(rel))]
    outside += [rel for rel in manifest['folders'] if not allowed.folder(webui.at(rel))]
    if outside:
        raise InstallError(
            f'{path} names {outside[0]}, which no install of {NAME} writes: nothing was changed; '
            f'delete {path} and {webui.extension} by hand.'
        )
    return manifest


def _check_types(content: dict[str, Any], mode: str | None) -> None:
    """Raises ValueError where a value is not what Manifest says."""
    lists = [content['folders'], *content['files'].values()]
    texts = [content['mode'], content['version'], content['extension'], *content['folders'], *content['files']]
    prints = [mark for marks in content['files'].values() for mark in marks]
    settings = content['settings']
    if settings is not None:
        for text in (settings['before'], settings['after']):
            decode(text)
    if not all(isinstance(items, list) for items in lists) or not all(isinstance(text, str) for text in texts):
        raise ValueError
    if not all(FINGERPRINT.fullmatch(mark) for mark in prints):
        raise ValueError
    if content['mode'] not in ('copy', 'link') or mode not in (None, content['mode']):
        raise ValueError


class _Allowed:
    """The paths that an install may have written. A manifest that was tampered with must not name any others."""

    def __init__(self, webui: Webui, mode: str) -> None:
        self.webui, self.mode = webui, mode
        # An upgrade of the webui may have moved its data since.
        self.yaml_folders = {place / folder for place in (webui.data, webui.root) for folder in COPIED_FOLDERS}
        self.hook = {webui.hook_module, *(webui.hook_entry / name for name in HOOK_ENTRY)}

    def file(self, path: Path) -> bool:
        extension = self.webui.extension
        if path == extension:
            return self.mode == 'link'
        if path.is_relative_to(extension):  # and does not leave it through a link
            return self.mode == 'copy' and _real(path.parent).is_relative_to(_real(extension))
        if path in self.hook:
            return path == self.webui.hook_module or not self.webui.hook_entry.is_symlink()
        return path.parent in self.yaml_folders and path.suffix == '.yaml'

    def folder(self, path: Path) -> bool:
        if path.is_relative_to(self.webui.extension):
            return _real(path).is_relative_to(_real(self.webui.extension))
        above = {parent for place in (*self.yaml_folders, self.webui.extension) for parent in (place, *place.parents)}
        outer = (self.webui.root, self.webui.data.parent)
        return path == self.webui.hook_entry or (path in above and not any(o.is_relative_to(path) for o in outer))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
