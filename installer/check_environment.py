"""The Python environment of a webui: where it is, and whether it has what we need. Nothing is changed in it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

NEEDED = {'torch': '2.3', 'transformers': '4.46', 'accelerate': '', 'safetensors': '', 'gradio': ''}
OPTIONAL = ('sentencepiece', 'peft')

PROBE = """
import importlib.metadata as m, json, sys
found = {'python': '.'.join(map(str, sys.version_info[:3]))}
for name in sys.argv[1:]:
    try: found[name] = m.version(name) or '0'
    except m.PackageNotFoundError: pass
print(json.dumps(found))
"""


def in_env(folder):
    """The Python of a virtual or conda environment."""
    for rel in ('bin/python', 'bin/python3', 'python.exe', 'Scripts/python.exe'):
        if (folder / rel).exists():
            return folder / rel
    return None


def find_python(webui):
    for name in ('installer_files/env', 'venv', '.venv'):
        if in_env(webui.root / name):
            return in_env(webui.root / name), ''
    active = os.environ.get('VIRTUAL_ENV') or os.environ.get('CONDA_PREFIX')
    return (in_env(Path(active)) if active else None), ' (the active environment, as the webui has none of its own)'


def at_least(version, least):
    numbers = [[int(n) for n in re.findall(r'\d+', v.split('+')[0])[:2]] for v in (version, least)]
    return numbers[0] >= numbers[1]


def check_environment(python, remark):
    """Looks, changes nothing, stops nothing."""
    if not python:
        print('Environment not checked: no Python of this webui was found; --python names one.')
        return
    try:
        command = [str(python), '-I', '-c', PROBE, *NEEDED, *OPTIONAL]
        found = json.loads(subprocess.run(command, capture_output=True, timeout=120, check=True).stdout)
        old = not at_least(found['python'], '3.10')
    except (OSError, ValueError, TypeError, KeyError, subprocess.SubprocessError):
        print(f'Environment not checked: {python} does not answer as a Python does.')
        return
    lacks = [f'{n}>={v}' if v else n for n, v in NEEDED.items() if n not in found or (v and not at_least(found[n], v))]
    versions = ', '.join(f'{name} {version}' for name, version in found.items())
    if old or lacks:
        what = ', '.join(['python>=3.10'] * old + lacks)
        print(f'{python}{remark} lacks {what} (it has {versions}): update the webui.', file=sys.stderr)
    else:
        print(f'Environment: {python}{remark} has all that is needed: {versions}.')
