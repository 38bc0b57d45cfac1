"""The Python environment of a webui: where it is, and whether it has the packages that the extension needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from . import ROOT
from .webui_tree import Webui

# Not needed to load a model: a tokenizer's format, LoRAs, figures of memory. gradio is what the webui's page needs.
OPTIONAL = ('sentencepiece', 'peft', 'psutil')
PAGE = {'gradio': ''}

PROBE = """
import importlib.metadata as m, json, sys
found = {'python': '.'.join(map(str, sys.version_info[:3]))}
for name in sys.argv[1:]:
    try: found[name] = m.version(name) or '0'
    except m.PackageNotFoundError: pass
print(json.dumps(found))
"""


def requirements() -> dict[str, str]:
    """Package: its lowest version, '' for any, as pyproject.toml has them. (tomllib is in Python 3.11 and later.)"""
    project = (ROOT / 'pyproject.toml').read_text('utf-8')
    listed = re.findall(r'(?ms)^dependencies = \[$(.*?)^\]', project)
    needed = dict(re.findall(r'"([\w-]+)(?:>=([\d.]+))?"', listed[0])) if listed else {}
    return {name: version for name, version in needed.items() if name not in OPTIONAL} | PAGE


def python_in(env: Path) -> Path | None:
    """The Python of a virtual or conda environment."""
    for rel in ('bin/python', 'bin/python3', 'python.exe', 'Scripts/python.exe'):
        if (env / rel).exists():
            return env / rel
    return None


def find_python(webui: Webui) -> tuple[Path | None, str]:
    """The webui's Python, None where it is not found, and a remark on how it was found."""
    for name in ('installer_files/env', 'venv', '.venv'):
        if python := python_in(webui.root / name):
            return python, ''
    active = os.environ.get('VIRTUAL_ENV') or os.environ.get('CONDA_PREFIX')
    return (python_in(Path(active)) if active else None), ' (the active environment, as the webui has none of its own)'


def at_least(version: str, lowest: str) -> bool:
    """Compares the first two numbers of two versions."""
    have, need = ([int(n) for n in re.findall(r'\d+', v.split('+')[0])[:2]] for v in (version, lowest))
    return have >= need


def check_environment(python: Path | str | None, remark: str) -> None:
    """Checks the environment and installs nothing: what is missing is printed."""
    if not python:
        print('Environment not checked: no Python of this webui was found; name it with --python.')
        return
    needed = requirements()
    try:
        command = [str(python), '-I', '-c', PROBE, *needed, *OPTIONAL]
        found = json.loads(subprocess.run(command, capture_output=True, timeout=120, check=True).stdout)
        old = not at_least(found['python'], '3.10')
    except (OSError, ValueError, TypeError, KeyError, subprocess.SubprocessError):
        print(f'Environment not checked: {python} does not answer as a Python does.')
        return
    lacks = [f'{n}>={v}' if v else n for n, v in needed.items() if n not in found or (v and not at_least(found[n], v))]
    versions = ', '.join(f'{name} {version}' for name, version in found.items())
    if old or lacks:
        what = ', '.join(['python>=3.10'] * old + lacks)
        print(f'{python}{remark} lacks {what} (it has {versions}): update the webui.', file=sys.stderr)
    else:
        print(f'Environment: {python}{remark} has all that is needed: {versions}.')
