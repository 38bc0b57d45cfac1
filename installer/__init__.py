"""What install.py does, one concern a module. Needs the standard library alone, and stays out of the webui."""

import re
from pathlib import Path

NAME = 'airoboros_gptq'
LOADER = 'airoboros-GPTQ'  # as the extension's names.py; a test holds the two equal
ROOT = Path(__file__).resolve().parents[1]


class Stop(Exception):
    """One sentence for the user: what is wrong with which file, and the remedy."""


def read_version() -> str:
    """The version of the package in this copy of the project, which is not imported for it."""
    try:
        text = (ROOT / 'extensions' / NAME / '__init__.py').read_text('utf-8')
        return re.findall(r"(?m)^__version__ = '([\w.]+)'$", text)[0]
    except (OSError, IndexError):
        raise Stop(f'{ROOT} holds no {NAME}: run install.py from a complete copy of the project.') from None
