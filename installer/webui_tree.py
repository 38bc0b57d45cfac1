"""Where a text-generation-webui keeps its extensions, presets, templates and settings, and install.py its notes."""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path

from . import HOOK, NAME, InstallError


class Webui:
    """The paths of one webui. Its own source decides between layouts: an upgraded webui may still have old folders."""

    def __init__(self, path: str | Path, user_data_dir: str | Path | None = None) -> None:
        self.root = root = Path(os.path.abspath(os.path.expanduser(path)))
        self.portable = any(folder.is_dir() for folder in (root / 'portable_env', root / 'app' / 'portable_env'))
        if not ((root / 'server.py').is_file() and (root / 'modules').is_dir()) and not self.portable:
            what = 'is not a text-generation-webui' if root.is_dir() else 'is not a folder'
            raise InstallError(f'{root} {what}: give the folder that holds server.py and modules/ of your webui.')
        self.data = root
        if user_data_dir:
            self.data = Path(os.path.abspath(os.path.expanduser(user_data_dir)))
        elif 'user_data' in self.source('server.py', 'modules/shared.py'):  # v3.1 and later
            above = root.parent / 'user_data'
            self.data = above if above.is_dir() and not (root / 'user_data').exists() else root / 'user_data'
        self.settings = self.data / 'settings.yaml'
        self.models_config = self.data / 'models' / 'config-user.yaml'
        # Python finds both beside server.py. The entry point in the .dist-info folder names the module.
        self.hook_module = root / f'{HOOK}.py'
        self.hook_entry = root / f'{HOOK}-1.dist-info'
        self.extension = self._extension()

    def _extension(self) -> Path:
        places = [self.data / 'extensions' / NAME, self.root / 'extensions' / NAME]
        lookup = self.source('modules/extensions.py', 'modules/utils.py')
        if not re.search(r'user_data(/|_dir\s*/\s*[\'"])extensions', lookup):  # before v3.7
            places.reverse()
        # An install made before the webui itself was upgraded is found where it is.
        begun = next((place for place in places if self.rel(place) == self._journaled()), None)
        return begun or next((p for p in places if any(m.is_file() for m in _manifests(p).values())), places[0])

    def _journaled(self) -> str | None:
        for journal in self.journals:
            try:
                return str(json.loads(journal.read_text('utf-8'))['extension'])
            except (OSError, ValueError, TypeError, KeyError):
                continue
        return None

    @property
    def manifests(self) -> dict[str, Path]:
        """Where the manifest of an install in each mode lies."""
        return _manifests(self.extension)

    @property
    def journals(self) -> list[Path]:
        """Where the journal of a run may lie, the first choice first."""
        return [folder / f'.{NAME}.unfinished.json' for folder in (self.root, self.data)]

    def source(self, *names: str) -> str:
        """The text of some of the webui's own files, '' for those it lacks."""
        paths = [self.root / name for name in names]
        return '\n'.join(path.read_text('utf-8', 'replace') for path in paths if path.is_file())

    def rel(self, path: Path) -> str:
        """A path as a manifest has it, relative to the webui where that is possible."""
        try:
            return Path(os.path.relpath(path, self.root)).as_posix()
        except ValueError:  # another drive
            return str(path)

    def at(self, rel: str) -> Path:
        """The path that a manifest names. Normalised here: where root is a link, the system takes '..' otherwise."""
        return Path(os.path.normpath(self.root / rel))

    def default_extensions(self) -> list[str]:
        """The list that holds while settings.yaml does not say; with the key in it, its entries must be there too."""
        found = re.search(r'[\'"]default_extensions[\'"]\s*:\s*(\[[^\]]*\])', self.source('modules/shared.py'))
        return [str(name) for name in ast.literal_eval(found[1])] if found else []

    def check_usable(self) -> None:
        """Raises InstallError for a webui that cannot run the extension."""
        if self.portable:
            raise InstallError(
                f'{self.root} is a portable build, which runs llama.cpp models only: install the full webui '
                '(clone its repository and run its start script) and give its folder.'
            )
        if (self.root / 'characters' / 'instruction-following').is_dir():
            raise InstallError(f'{self.root} is a webui older than v1.7, without Jinja templates: update it first.')


def _manifests(extension: Path) -> dict[str, Path]:
    return {'link': extension.parent / f'.{NAME}.installed.json', 'copy': extension / '.installed.json'}
