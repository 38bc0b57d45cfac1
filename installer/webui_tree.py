"""Where a text-generation-webui keeps its extensions, presets, templates and settings."""

import ast
import os
import re
from pathlib import Path

from . import NAME, Stop
from .manifest import manifest_paths


class Webui:
    """Where one webui keeps its things, decided by what its own source says, since old folders may lie around."""

    def __init__(self, path, user_data_dir=None):
        self.root = root = Path(os.path.abspath(os.path.expanduser(path)))
        portable = root / 'portable_env', root / 'app' / 'portable_env'
        self.portable = any(folder.is_dir() for folder in portable)
        if not ((root / 'server.py').is_file() and (root / 'modules').is_dir()) and not self.portable:
            what = 'is not a text-generation-webui' if root.is_dir() else 'is not a folder'
            raise Stop(f'{root} {what}: give the folder that holds server.py and modules/ of your webui.')
        self.data = root
        if user_data_dir:
            self.data = Path(os.path.abspath(os.path.expanduser(user_data_dir)))
        elif 'user_data' in self.source('server.py', 'modules/shared.py'):  # v3.1 and later
            above = root.parent / 'user_data'
            self.data = above if above.is_dir() and not (root / 'user_data').exists() else root / 'user_data'
        self.settings = self.data / 'settings.yaml'
        places = [self.data / 'extensions' / NAME, root / 'extensions' / NAME]
        lookup = self.source('modules/extensions.py', 'modules/utils.py')
        if not re.search(r'user_data(/|_dir\s*/\s*[\'"])extensions', lookup):  # before v3.7
            places.reverse()
        # An install made before the webui itself was upgraded is found where it is.
        self.extension = next((p for p in places if any(m.is_file() for m in manifest_paths(p).values())), places[0])

    def source(self, *names):
        files = [self.root / name for name in names]
        return '\n'.join(f.read_text('utf-8', 'replace') for f in files if f.is_file())

    def rel(self, path):
        try:
            return Path(os.path.relpath(path, self.root)).as_posix()
        except ValueError:  # another drive
            return str(path)

    def at(self, rel):
        return Path(os.path.normpath(self.root / rel))  # not left to the system: root may be a link, '..' would differ

    def default_extensions(self):
        """The list that holds while settings.yaml says nothing; writing the key would lose its entries."""
        found = re.search(r'[\'"]default_extensions[\'"]\s*:\s*(\[[^\]]*\])', self.source('modules/shared.py'))
        return ast.literal_eval(found.group(1)) if found else []

    def check_usable(self):
        if self.portable:
            raise Stop(
                f'{self.root} is a portable build, which runs llama.cpp models only: install the full webui '
                '(clone its repository and run its start script) and give its folder.'
            )
        if (self.root / 'characters' / 'instruction-following').is_dir():
            raise Stop(f'{self.root} is a webui older than v1.7, which knows no Jinja templates: update it first.')
