"""The model that the webui starts with: `--model NAME`, or `airoboros_gptq-load_at_start: NAME` in settings.yaml.

The webui loads --model before it loads extensions, with Transformers, which initialises a GPTQ folder with random weights
or raises and ends the webui. So the start hook (airoboros_gptq_early.py in the webui's root) calls `defer_load` or
`replace_module`, and setup() calls `load`. Without the hook, the model that Transformers loaded is replaced.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from modules import shared
from modules.logging_colors import logger

from ..names import EXTENSION, LOADER

_DEFERRED = 'is a GPTQ model: airoboros-GPTQ loads it as soon as the extensions are loaded.'
_LOADED_TWICE = 'was loaded by the webui before its extensions; airoboros-GPTQ loads it again.'
_REMEDY = f'Put `{EXTENSION}-load_at_start: {{}}` into settings.yaml in place of --model, and it is loaded once.'
_done = False  # load() has been called
_deferred_loras: list[str] = []


def defer_load(module: ModuleType) -> None:
    """Makes a load of a GPTQ folder return no model until setup() is called. `module` is the webui's module with load_model,
    which may be running already, or the one with load_model_HF, which it imports then.
    """
    name = 'load_model_HF' if hasattr(module, 'load_model_HF') else 'load_model'
    original = getattr(module, name, None)
    if original is None:
        return  # it is still being imported

    def load_or_defer(model_name: str, *args: Any, **kwargs: Any) -> Any:
        if _done or not _is_deferred(model_name):
            return original(model_name, *args, **kwargs)
        return _deferred(model_name)

    for holder in list(sys.modules.values()):  # also modules that imported it by value
        if getattr(holder, '__dict__', {}).get(name) is original:
            setattr(holder, name, load_or_defer)


def replace_module(module: ModuleType) -> bool:
    """Fills `module`, with which v3 is about to load a GPTQ folder by ExLlamaV2, with a loader that defers the load; the
    package of ExLlamaV2 may be missing. False, and `module` untouched, where the load is not deferred.
    """
    if _done or not _is_deferred(shared.model_name):
        return False

    class DeferredLoader:
        @staticmethod
        def from_pretrained(model_name: str) -> tuple[None, None]:
            sys.modules.pop(module.__name__, None)  # the next import gets the webui's own module
            return _deferred(model_name)

    module.Exllamav2HF = module.Exllamav2Model = DeferredLoader  # type: ignore[attr-defined]
    return True


def load(load_at_start: str) -> None:
    """Loads the model to start with, once: that of --model if it is GPTQ, else `load_at_start` where none is loaded.
    Follows the steps of the webui's server.py. A failure is logged, and the webui starts without a model.
    """
    global _done
    if _done:
        return
    _done = True
    name = shared.model_name
    if name in (None, 'None'):
        name = load_at_start
    elif not _is_gptq_without_loader(name):
        return
    if not name:
        return
    if not any(path.exists() for path in (Path(name), Path(shared.args.model_dir) / name)):
        logger.error(f'{EXTENSION}-load_at_start in settings.yaml: there is no {name} in {shared.args.model_dir}.')
        return
    if shared.model is not None:
        logger.warning(f'{name} {_LOADED_TWICE}')
        logger.warning(_REMEDY.format(name))
        from modules import models

        models.unload_model()
    try:
        _load(name)
    except Exception:
        logger.exception(f'{EXTENSION}: {name} could not be loaded; the webui starts without a model.')
    if _deferred_loras and shared.model is not None:
        from modules.LoRA import add_lora_to_model

        add_lora_to_model(list(_deferred_loras))


def _load(name: str) -> None:
    from modules import models, models_settings

    metadata = models_settings.get_model_metadata(name)
    models_settings.update_model_parameters(metadata, initial=True)
    if not _requested_loader():
        shared.args.loader = metadata['loader']  # the webui ignores a --loader that it does not know
    if 'instruction_template_str' in metadata:
        shared.settings['instruction_template_str'] = metadata['instruction_template_str']
    shared.model, shared.tokenizer = models.load_model(name)


def _deferred(model_name: str) -> tuple[None, None]:
    """What a deferred load returns in place of (model, tokenizer)."""
    logger.info(f'{model_name} {_DEFERRED}')
    _deferred_loras.extend(shared.args.lora or [])
    shared.args.lora = None  # there is no model yet to apply them to
    return None, None


def _is_deferred(model_name: str) -> bool:
    return EXTENSION in (shared.args.extensions or []) and _is_gptq_without_loader(model_name)


def _is_gptq_without_loader(model_name: str) -> bool:
    """Whether it is a GPTQ folder for which the user has chosen no other loader."""
    from .loader import gptq_loader

    if not gptq_loader.is_gptq(model_name) or _requested_loader():
        return False
    saved = [s['loader'] for s in _saved_settings(model_name) if 'loader' in s]
    return not saved or saved[-1] == LOADER


def _requested_loader() -> str | None:
    """The loader of --loader, None for one that the webui does not know. shared.args has the model's by now."""
    given = getattr(shared, 'original_args', None) or shared.parser.parse_known_args()[0]
    name: str | None = shared.fix_loader_name(given.loader)
    return name


def _saved_settings(model_name: str) -> Iterator[dict[str, Any]]:
    return (s for k, s in shared.user_config.items() if re.match(k.lower(), Path(model_name).name.lower()))
