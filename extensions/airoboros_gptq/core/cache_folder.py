"""Where things go that can be made again: compiled kernels, models for measuring. Standard library alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """$AIROBOROS_GPTQ_CACHE, else `airoboros_gptq` where the system keeps users' caches. It need not exist."""
    if named := os.environ.get('AIROBOROS_GPTQ_CACHE'):
        return Path(named)
    if sys.platform == 'win32':
        parent = os.environ.get('LOCALAPPDATA') or Path.home() / 'AppData' / 'Local'
    elif sys.platform == 'darwin':
        parent = Path.home() / 'Library' / 'Caches'
    else:
        parent = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(parent) / 'airoboros_gptq'
