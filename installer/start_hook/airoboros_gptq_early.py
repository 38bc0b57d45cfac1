"""The start hook of airoboros_gptq: lets the webui start with `--model NAME` where NAME is a GPTQ folder.

The webui loads `--model` before it loads extensions. Of what runs before that, only PyTorch calls other packages: at its
import it calls watch() (entry point group `torch.backends`, in the .dist-info folder beside this file; PyTorch 2.5 and
later). Whatever fails here fails silently or with one line on stderr: neither PyTorch nor the webui may notice. Where
the extension is gone, nothing happens.

`install.py webui` writes this file, `install.py uninstall` deletes it, `--no-start-hook` leaves it out.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = 'airoboros_gptq'
MODELS = 'modules.models'
LOADER = 'modules.transformers_loader'  # since v3.0; imported together with PyTorch, for the first model
EXLLAMA = 'modules.exllamav2_hf', 'modules.exllamav2'  # v3 takes them for a config.json that says GPTQ
# The extension's side of this: a module of it, and its functions.
STARTUP = 'webui', 'startup_model'
DEFER, REPLACE = 'defer_load', 'replace_module'


def watch() -> None:
    try:
        if 'modules.shared' not in sys.modules or _folder() is None:
            return
        if MODELS not in sys.modules:
            sys.meta_path.insert(0, _Finder(MODELS))
            return
        _tell(DEFER, sys.modules[MODELS])
        sys.meta_path.insert(0, _Finder(LOADER, *EXLLAMA))
    except Exception as error:
        _report(error)


def _folder() -> Path | None:
    """Where the webui takes the extension from; None where it is gone, unreadable or half copied."""
    data = Path(getattr(sys.modules['modules.shared'], 'user_data_dir', 'user_data'))
    for place in (data / 'extensions' / NAME, Path('extensions') / NAME):
        try:
            if (place / 'script.py').is_file() and place.joinpath(*STARTUP).with_suffix('.py').is_file():
                return place.resolve()
        except OSError:
            continue
    return None


class _Finder:
    """Hands the first of some modules of the webui's to the extension when it is imported."""

    def __init__(self, *awaited: str) -> None:
        self.awaited = awaited

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self.awaited:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec: Any = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                if name in EXLLAMA and _tell(REPLACE, module):
                    return
                run(module)
                if name not in EXLLAMA:
                    _tell(DEFER, module)

            spec.loader.exec_module = exec_module
        return spec


def _tell(function: str, module: ModuleType) -> Any:
    """Calls a function of the extension, importing it first; None where that fails."""
    try:
        folder = _folder()
        if folder is None:
            return None
        if NAME not in sys.modules:
            _import_package(folder)
        return getattr(importlib.import_module('.'.join((NAME, *STARTUP))), function)(module)
    except Exception as error:
        _report(error)
        return None


def _import_package(folder: Path) -> None:
    locations = [str(folder)]
    spec = importlib.util.spec_from_file_location(NAME, folder / '__init__.py', submodule_search_locations=locations)
    if spec is None or spec.loader is None:
        raise ImportError(f'{folder} cannot be imported')
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    try:
        spec.loader.exec_module(package)
    except BaseException:
        del sys.modules[NAME]
        raise


def _report(error: Exception) -> None:
    with contextlib.suppress(Exception):  # stderr may be closed
        print(f'{NAME}: --model is left to the webui ({type(error).__name__}: {error})', file=sys.stderr)
