"""The cache directory: compiled kernels, synthetic models. Standard library alone."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """$AIROBOROS_GPTQ_CACHE, else `airoboros_gptq` where the system keeps users' caches. It need not exist."""
    if named := os.environ.get('AIROBOROS_GPTQ_CACHE'):
        return Path(named)
    try:
        return _user_cache() / 'airoboros_gptq'
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir(), f'airoboros_gptq-{getattr(os, "getuid", lambda: "user")()}')


def _user_cache() -> Path:
    if sys.platform == 'win32':
        local = os.environ.get('LOCALAPPDATA')
        return Path(local) if local else Path.home() / 'AppData' / 'Local'
    if sys.platform == 'darwin':
        return Path.home() / 'Library' / 'Caches'
    named = os.environ.get('XDG_CACHE_HOME')
    return Path(named) if named else Path.home() / '.cache'
