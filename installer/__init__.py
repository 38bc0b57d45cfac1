"""The modules behind install.py. They need the standard library only and are never copied into a webui."""

import re
from pathlib import Path

NAME = 'airoboros_gptq'
LOADER = 'airoboros-GPTQ'  # names.LOADER of the package; a test compares them
HOOK = 'airoboros_gptq_early'  # the module of the start hook
ROOT = Path(__file__).resolve().parents[1]


class InstallError(Exception):
    """One sentence for the user: which file, what is wrong with it, and the remedy."""


def read_version() -> str:
    """The version of the package in this copy of the project, read without importing it."""
    try:
        text = (ROOT / 'extensions' / NAME / '__init__.py').read_text('utf-8')
        return str(re.findall(r"(?m)^__version__ = '([\w.]+)'$", text)[0])
    except (OSError, IndexError):
        raise InstallError(f'{ROOT} holds no {NAME}: run install.py from a complete copy of the project.') from None
