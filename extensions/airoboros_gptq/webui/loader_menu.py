"""The entry of airoboros-GPTQ in the webui's tables of loaders, and its settings in shared.args.

No function is replaced for this; see patches.py for those that are.
"""

from __future__ import annotations

from types import ModuleType

from modules import loaders

from ..names import LOADER, LOADER_PARAMS, MODEL_SETTINGS, PREFIX
from . import versions


def add() -> None:
    """Puts the loader into the menu of the Model tab, with the settings and samplers of Transformers that it shares."""
    transformers = loaders.loaders_and_params['Transformers']
    loaders.loaders_and_params[LOADER] = [k for k in LOADER_PARAMS if k.startswith(PREFIX) or k in transformers]
    loaders.loaders_samplers[LOADER] = set(loaders.loaders_samplers['Transformers'])
    _clear_caches(loaders)
    for namespace in versions.argument_namespaces():
        for key, default in MODEL_SETTINGS.items():
            if not hasattr(namespace, key):
                setattr(namespace, key, default)


def remove() -> None:
    """Undoes add()."""
    loaders.loaders_and_params.pop(LOADER, None)
    loaders.loaders_samplers.pop(LOADER, None)
    _clear_caches(loaders)
    for namespace in versions.argument_namespaces():
        for key in MODEL_SETTINGS:
            vars(namespace).pop(key, None)


def _clear_caches(module: ModuleType) -> None:
    """The webui caches what it has read from these tables."""
    for name in ('get_all_params', 'list_all_samplers', 'list_model_elements'):
        clear = getattr(getattr(module, name, None), 'cache_clear', None)
        if clear:
            clear()
