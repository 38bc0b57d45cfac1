"""Where the package keeps what can be made again, as the package itself says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from . import NAME, ROOT, InstallError


def cache_folder() -> Path:
    """The package's cache folder, which need not exist: `util/cache_dir.py` is run by itself, without the package."""
    path = ROOT / 'extensions' / NAME / 'util' / 'cache_dir.py'
    spec = importlib.util.spec_from_file_location(f'{NAME}_cache_dir', path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InstallError(f'{path} is missing: run install.py from a complete copy of the project.')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Path(module.cache_folder())
