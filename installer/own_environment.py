"""The environment of our own, .venv beside install.py, made for the demo and the tests."""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys

from . import ROOT, Stop, commands
from .check_environment import in_env

VENV = ROOT / '.venv'
# The newest release that was tried: one version for everybody, and pip must not pick another for us.
TORCH = 'torch==2.13.0'
# What the tests hold our reading of GPTQ against; it has wheels up to Python 3.11 only.
AUTO_GPTQ = 'auto-gptq==0.7.1'


def stamp(extras):
    """What .venv was made from, so that nothing is installed twice."""
    source = (ROOT / 'pyproject.toml').read_bytes() + TORCH.encode()
    return {'from': hashlib.sha256(source).hexdigest(), 'extras': sorted(extras)}


def is_ready(stamp_file, extras):
    try:
        have = json.loads(stamp_file.read_text('utf-8'))
        works = subprocess.run([str(in_env(VENV)), '-I', '-c', ''], capture_output=True).returncode == 0
        return works and have['from'] == stamp([])['from'] and set(extras) <= set(have['extras'])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def environment(extras):
    """The Python of .venv with the project and its extras, made or brought up to date where needed."""
    stamp_file = VENV / '.made-by-install.json'
    if is_ready(stamp_file, extras):
        return in_env(VENV)
    if VENV.exists() and any(VENV.iterdir()) and not stamp_file.exists():
        raise Stop(f'{VENV} was not made by install.py: move it away or delete it, then run this again.')
    if not importlib.util.find_spec('venv') or not importlib.util.find_spec('ensurepip'):
        raise Stop(f'{sys.executable} cannot make environments: on Debian and Ubuntu run apt install python3-venv.')
    if not (in_env(VENV) and commands.call(in_env(VENV), '-I', '-m', 'pip', '--version') == 0):
        print(f'Making {VENV}.', flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir()
        stamp_file.write_text('{}')
        if commands.call(sys.executable, '-I', '-m', 'venv', VENV):
            raise Stop(f'{VENV} could not be made, see above: on Debian and Ubuntu apt install python3-venv may help.')
    stamp_file.write_text('{}')
    for what in ([TORCH], ['-e', f'.[{",".join(extras)}]']):
        if commands.call(in_env(VENV), '-I', '-m', 'pip', 'install', *what):
            raise Stop(f'pip could not install {what[-1]} into {VENV}, see above: mend that and run this again.')
    if 'test' in extras and commands.call(
        in_env(VENV), '-I', '-m', 'pip', 'install', '-q', '--no-deps', '--only-binary=:all:', AUTO_GPTQ
    ):
        print(f'{AUTO_GPTQ} cannot be had for this Python: the tests that hold us against it will skip themselves.')
    stamp_file.write_text(json.dumps(stamp(extras)))
    return in_env(VENV)
