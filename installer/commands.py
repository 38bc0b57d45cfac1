"""Other programs, run from the project's folder."""

import os
import re
import subprocess

from . import ROOT


def clean_environ(**more):
    """Ours without what would lead another Python to other packages, or pip to install them elsewhere."""
    drop = r'PYTHON(PATH|HOME|STARTUP|USERBASE|SAFEPATH)|PIP_(TARGET|PREFIX|ROOT|PYTHON|REQUIRE_VIRTUALENV)|__PYVENV.*'
    kept = {name: value for name, value in os.environ.items() if not re.fullmatch(drop, name)}
    return {**kept, 'PYTHONNOUSERSITE': '1', 'PIP_USER': '0', **more}


def call(*command, env=None):
    """Runs a command where we stand; its exit code. After Ctrl+C it may end in its own way first."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, env=env or clean_environ())
    try:
        return process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
