"""The model that the webui starts with: `--model NAME`, or `airoboros_gptq-load_at_start: NAME` in settings.yaml.

The webui loads --model before it loads extensions, with Transformers, which reads random weights out of a GPTQ folder or
raises, and ends the webui. So that load is put off (`put_off`, called by airoboros_gptq_early.py in the webui's root)
until we are there (`load`, called by setup()). Where nobody could put it off, what Transformers made of it is replaced.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from modules import shared
from modules.logging_colors import logger

from ..names import EXTENSION, LOADER

_WAITS = 'is GPTQ: it is loaded as soon as the extensions are, with airoboros-GPTQ.'
_AGAIN = 'was loaded by the webui before its extensions, and is loaded again with airoboros-GPTQ.'
_INSTEAD = f'Put `{EXTENSION}-load_at_start: {{}}` into settings.yaml in place of --model, and it is loaded once.'
_done = False
_loras: list[str] = []


def put_off(module) -> None:
    """Has the load of a GPTQ folder before setup() answer with no model. `module` is the webui's: the one that has
    load_model, which may be running already, or the one for Transformers, which it imports then.
    """
    name = 'load_model_HF' if hasattr(module, 'load_model_HF') else 'load_model'
    original = getattr(module, name, None)
    if original is None:
        return  # it is being imported just now

    def or_later(model_name, *args, **kwargs):
        if _done or not _will_be_ours(model_name):
            return original(model_name, *args, **kwargs)
        return _later(model_name)

    for holder in list(sys.modules.values()):  # also those that imported it by value
        if getattr(holder, '__dict__', {}).get(name) is original:
            setattr(holder, name, or_later)


def stand_in(module) -> bool:
    """v3 is about to load a GPTQ folder with ExLlamaV2, which it may lack: whether `module`, which would do that, has been
    filled with what puts it off.
    """
    if _done or not _will_be_ours(shared.model_name):
        return False

    class Later:
        @staticmethod
        def from_pretrained(model_name):
            sys.modules.pop(module.__name__, None)  # the webui's own comes in when it is next asked for
            return _later(model_name)

    module.Exllamav2HF = module.Exllamav2Model = Later
    return True


def _later(model_name) -> tuple[None, None]:
    logger.info(f'{model_name} {_WAITS}')
    _loras.extend(shared.args.lora or [])
    shared.args.lora = None  # there is no model yet to put them on
    return None, None


def _will_be_ours(model_name) -> bool:
    return EXTENSION in (shared.args.extensions or []) and _is_ours(model_name)


def _is_ours(model_name) -> bool:
    """Whether it is a GPTQ folder for which nobody chose another loader."""
    from . import loader as loading

    if not loading.is_ours(model_name) or _asked_for():
        return False
    saved = [s['loader'] for s in _saved(model_name) if 'loader' in s]
    return not saved or saved[-1] == LOADER


def _asked_for() -> str | None:
    """--loader as it was given, if the webui knows it. What stands in shared.args is the model's by now."""
    given = getattr(shared, 'original_args', None) or shared.parser.parse_known_args()[0]
    return shared.fix_loader_name(given.loader)


def _saved(model_name):
    return (s for k, s in shared.user_config.items() if re.match(k.lower(), Path(model_name).name.lower()))


def load(wanted: str) -> None:
    """Loads the model to start with, once: the one of --model if it is ours, else `wanted` where nothing is loaded.
    In the steps of the webui's own server.py. What fails is in the log, and the webui starts without a model.
    """
    global _done
    if _done:
        return
    _done = True
    name = shared.model_name
    if name in (None, 'None'):
        name = wanted
    elif not _is_ours(name):
        return
    if not name:
        return
    if not any(path.exists() for path in (Path(name), Path(shared.args.model_dir) / name)):
        logger.error(f'{EXTENSION}-load_at_start in settings.yaml: there is no {name} in {shared.args.model_dir}.')
        return
    if shared.model is not None:
        logger.warning(f'{name} {_AGAIN}')
        logger.warning(_INSTEAD.format(name))
        from modules import models

        models.unload_model()
    try:
        _load(name)
    except Exception:
        logger.exception(f'{EXTENSION}: {name} could not be loaded; the webui starts without a model.')
    if _loras and shared.model is not None:
        from modules.LoRA import add_lora_to_model

        add_lora_to_model(list(_loras))


def _load(name: str) -> None:
    from modules import models, models_settings

    metadata = models_settings.get_model_metadata(name)
    models_settings.update_model_parameters(metadata, initial=True)
    if not _asked_for():
        shared.args.loader = metadata['loader']  # --loader with a name that the webui does not know counts as none
    if 'instruction_template_str' in metadata:
        shared.settings['instruction_template_str'] = metadata['instruction_template_str']
    shared.model, shared.tokenizer = models.load_model(name)
