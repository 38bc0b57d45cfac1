""".venv beside install.py: the environment in which the demo and the tests run."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import ROOT, InstallError, commands
from .check_environment import python_in

VENV = ROOT / '.venv'
# The newest release that was tested, the same for all.
TORCH = 'torch==2.13.0'
# The tests compare with it. It has wheels for Python 3.11 and older.
AUTO_GPTQ = 'auto-gptq==0.7.1'


def make_environment(extras: list[str]) -> Path:
    """The Python of .venv with the project and its extras, which are installed first where they are not there."""
    stamp_file = VENV / '.made-by-install.json'
    if _is_ready(stamp_file, extras):
        return _python()
    if VENV.exists() and any(VENV.iterdir()) and not stamp_file.exists():
        raise InstallError(f'{VENV} was not made by install.py: move it away or delete it, then run this again.')
    if not importlib.util.find_spec('venv') or not importlib.util.find_spec('ensurepip'):
        raise InstallError(
            f'{sys.executable} cannot make environments: on Debian and Ubuntu run apt install python3-venv.'
        )
    if not python_in(VENV) or commands.call(_python(), '-I', '-m', 'pip', '--version') != 0:
        print(f'Making {VENV}.', flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir()
        stamp_file.write_text('{}')
        if commands.call(sys.executable, '-I', '-m', 'venv', VENV):
            raise InstallError(
                f'{VENV} could not be made, see above: on Debian and Ubuntu apt install python3-venv may help.'
            )
    stamp_file.write_text('{}')
    for what in ([TORCH], ['-e', f'.[{",".join(extras)}]']):
        if commands.call(_python(), '-I', '-m', 'pip', 'install', *what):
            raise InstallError(f'pip could not install {what[-1]} into {VENV}, see above: fix that and run this again.')
    if 'test' in extras and commands.call(
        _python(), '-I', '-m', 'pip', 'install', '-q', '--no-deps', '--only-binary=:all:', AUTO_GPTQ
    ):
        print(f'{AUTO_GPTQ} has no wheel for this Python: the tests that compare with it are skipped.')
    stamp_file.write_text(json.dumps(_stamp(extras)))
    return _python()


def _python() -> Path:
    return python_in(VENV) or VENV / 'bin' / 'python'


def _stamp(extras: list[str]) -> dict[str, Any]:
    """What .venv was made from, so that nothing is installed twice."""
    source = (ROOT / 'pyproject.toml').read_bytes() + TORCH.encode()
    return {'from': hashlib.sha256(source).hexdigest(), 'extras': sorted(extras)}


def _is_ready(stamp_file: Path, extras: list[str]) -> bool:
    try:
        stamp = json.loads(stamp_file.read_text('utf-8'))
        works = subprocess.run([str(_python()), '-I', '-c', ''], capture_output=True).returncode == 0
        return bool(works and stamp['from'] == _stamp([])['from'] and set(extras) <= set(stamp['extras']))
    except (OSError, ValueError, KeyError, TypeError):
        return False
