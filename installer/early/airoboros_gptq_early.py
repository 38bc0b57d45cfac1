"""Lets the webui start with `--model` and a GPTQ folder. Put here by airoboros_gptq's install.py, gone with its uninstall.

The webui loads `--model` before it loads extensions. All that runs before is PyTorch, which calls watch() at its import
(entry point group `torch.backends`, in the .dist-info beside this file; PyTorch 2.5 and later). Whatever goes wrong here
is left alone: the webui then starts as without us.
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

MODELS = 'modules.models'
LOADER = 'modules.transformers_loader'  # of the webui since v3.0; with PyTorch, when the first model is loaded
EXLLAMA = 'modules.exllamav2_hf', 'modules.exllamav2'  # v3 takes them for a config.json that says GPTQ
NAME = 'airoboros_gptq'


def watch():
    if 'modules.shared' not in sys.modules or _folder() is None:
        return
    if MODELS not in sys.modules:
        sys.meta_path.insert(0, _Finder(MODELS))
        return
    _tell('put_off', sys.modules[MODELS])
    sys.meta_path.insert(0, _Finder(LOADER, *EXLLAMA))


def _folder():
    """Where the webui takes the extension from; None where it is gone."""
    data = Path(getattr(sys.modules['modules.shared'], 'user_data_dir', 'user_data'))
    places = (data / 'extensions' / NAME, Path('extensions') / NAME)
    return next((p.resolve() for p in places if (p / 'webui' / 'starting.py').is_file()), None)


class _Finder:
    """Hands the first of some modules of the webui's to us when it is imported; everything else is found as ever."""

    def __init__(self, *awaited):
        self.awaited = awaited

    def find_spec(self, name, path=None, target=None):
        if name not in self.awaited:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                if name in EXLLAMA and _tell('stand_in', module):
                    return
                run(module)
                if name not in EXLLAMA:
                    _tell('put_off', module)

            spec.loader.exec_module = exec_module
        return spec


def _tell(what, *args):
    try:
        folder = _folder()
        if NAME not in sys.modules:
            spec = importlib.util.spec_from_file_location(
                NAME, folder / '__init__.py', submodule_search_locations=[str(folder)]
            )
            sys.modules[NAME] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[NAME])
        return getattr(importlib.import_module(f'{NAME}.webui.startup_model'), what)(*args)
    except Exception as e:
        print(f'{NAME}: --model is left to the webui ({type(e).__name__}: {e})', file=sys.stderr)
