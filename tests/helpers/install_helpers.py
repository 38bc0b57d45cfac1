"""Small webui trees, and install.py run on them in a shell as a person does."""

import os
import subprocess
import sys
from pathlib import Path

NAME = 'airoboros_gptq'
ROOT = Path(__file__).resolve().parents[2]
SHARED = "settings = {\n    'preset': 'min_p',\n    'default_extensions': %s,\n}\n"
USER_DATA = "settings_file = Path('user_data/settings.yaml')\n"

# layout: what its source says -> (data folder, extensions folder)
LAYOUTS = {
    'v4': (
        "p = shared.user_data_dir / 'extensions' / name / 'script.py'\n",
        USER_DATA,
        'user_data',
        'user_data/extensions',
    ),
    'v3.23': ("p = Path(f'user_data/extensions/{name}/script.py')\n", USER_DATA, 'user_data', 'user_data/extensions'),
    'v3.3': ("Path('extensions').glob('*/script.py')\n", USER_DATA, 'user_data', 'extensions'),
    'v2.1': ("Path('extensions').glob('*/script.py')\n", "Path('settings.yaml')\n", '.', 'extensions'),
}


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def snapshot(folder):
    """Every path with its bytes (or where it links to); folders count too."""
    return {
        p.relative_to(folder).as_posix(): os.readlink(p)
        if p.is_symlink()
        else p.read_bytes()
        if p.is_file()
        else 'folder'
        for p in sorted(folder.rglob('*'))
    }


def mtimes(folder):
    return {p: p.lstat().st_mtime_ns for p in folder.rglob('*')}


class Webui:
    def __init__(self, root, layout, defaults='[]'):
        lookup, server, data, extensions = LAYOUTS[layout]
        self.root, self.data = root, root / data
        self.extension = root / extensions / NAME
        self.settings = self.data / 'settings.yaml'
        self.models_config = self.data / 'models' / 'config-user.yaml'
        self.preset = self.data / 'presets' / 'Airoboros.yaml'
        put(root / 'server.py', server)
        put(root / 'modules' / 'extensions.py', lookup)
        put(root / 'modules' / 'shared.py', SHARED % defaults)
        put(root / 'extensions' / 'gallery' / 'script.py', '')
        put(self.data / 'presets' / 'min_p.yaml', 'min_p: 0.05\n')
        put(self.data / 'instruction-templates' / 'Alpaca.yaml', 'instruction_template: x\n')


def run(source, *arguments, code=0, before=(), options=(), **env):
    """stdout and stderr of install.py; what it says on stderr is one line and no traceback."""
    environ = {k: v for k, v in os.environ.items() if k not in ('VIRTUAL_ENV', 'CONDA_PREFIX', 'PYTHONPATH')}
    command = [*before, sys.executable, *options, source / 'install.py', *arguments]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env={**environ, **env})
    assert done.returncode == code, done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    if code == 1:
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stdout + done.stderr
