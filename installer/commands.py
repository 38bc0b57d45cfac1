"""Other programs, run from the project's folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from . import ROOT


def clean_environ(**added: str) -> dict[str, str]:
    """The environment variables without those that lead another Python, or its pip, to other packages."""
    drop = r'PYTHON(PATH|HOME|STARTUP|USERBASE|SAFEPATH)|PIP_(TARGET|PREFIX|ROOT|PYTHON|REQUIRE_VIRTUALENV)|__PYVENV.*'
    kept = {name: value for name, value in os.environ.items() if not re.fullmatch(drop, name)}
    return {**kept, 'PYTHONNOUSERSITE': '1', 'PIP_USER': '0', **added}


def call(*command: str | Path, env: dict[str, str] | None = None) -> int:
    """Runs a command; its exit code. After Ctrl+C it has ten seconds to end in its own way."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, env=env or clean_environ())
    try:
        return process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
