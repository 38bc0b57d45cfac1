"""A GPTQ model's settings in the webui: completed at a pick, and saved in config-user.yaml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from modules import loaders, shared
from modules.logging_colors import logger

from ..airoboros.versions import Airoboros
from ..errors import GPTQError
from ..names import CHECKPOINT, FORMAT, KERNEL, LOADER
from . import versions
from .loader import gptq_loader

_EXTENSION = Path(__file__).resolve().parents[1]
_OF_MODEL = (
    'instruction_template_str',
    'truncation_length',
)  # what else a pick sets; a load has put it into shared.settings
_FROM_TOKENIZER = 'Custom (obtained from model metadata)'  # the webui's name for a chat template of the tokenizer


def complete(model_name: str, settings: dict[str, Any]) -> None:
    """Adds checkpoint, kernel, format and template to what the webui's get_model_metadata says of a GPTQ folder."""
    settings[KERNEL] = gptq_loader.kernel_or_auto(settings.get(KERNEL), model_name)
    settings.setdefault(FORMAT, 'auto')
    try:
        summary = gptq_loader.summary(model_name)
    except GPTQError:  # the panel shows the sentence
        settings.setdefault(CHECKPOINT, '')
    else:
        if settings.get(CHECKPOINT) not in summary.candidates:
            settings[CHECKPOINT] = summary.checkpoint.name
    airoboros = gptq_loader.airoboros_of(model_name)
    if airoboros and not _template_is_chosen(model_name, settings, airoboros):
        template = airoboros.format.template
        try:
            settings |= {'instruction_template': template, 'instruction_template_str': _read_template(template)}
        except GPTQError as e:
            logger.error(str(e))


def _read_template(template: str) -> str:
    """The template as this extension has it. Up to v4.1 the webui's folder has one of the same name, with newlines where the
    model was trained with spaces; it has none where the extension was copied by hand.
    """
    # Where install.py puts them, in the checkout that a link leads to, or where the user has copied them in the webui.
    folders = [_EXTENSION, _EXTENSION.parents[1], *versions.data_folders()]
    files = (folder / 'instruction-templates' / f'{template}.yaml' for folder in folders)
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise GPTQError(f'The template {template} is not in {_EXTENSION}; run install.py again.')
    source: str = yaml.safe_load(file.read_text(encoding='utf-8'))['instruction_template']
    return source


def _template_is_chosen(model_name: str, settings: dict[str, Any], airoboros: Airoboros) -> bool:
    """Whether the user has chosen a template, or the folder brings one for an Airoboros of unknown version.

    For a known version the extension's template wins: the tokenizers of 3.x carry Llama-2's general template, without what
    3.1 was trained with, and the list that the webui had up to v4.2 (models/config.yaml) takes most of them for Vicuna.
    """
    name = Path(model_name).name.lower()
    if any('instruction_template' in v for k, v in shared.user_config.items() if re.match(k.lower(), name)):
        return True
    return settings.get('instruction_template') == _FROM_TOKENIZER and not airoboros.known


def of_loaded() -> dict[str, Any]:
    """The loader and the settings with which the active model was loaded, for a page that opens; {} where airoboros-GPTQ has
    no active model. shared.args has them: a pick does not change it, see patches.py.
    """
    if not gptq_loader.is_active():
        return {}
    name, args, elements = shared.model_name, vars(shared.args), versions.model_elements()
    settings = {k: args[k] for k in loaders.loaders_and_params[LOADER] if k in elements and k in args}
    for key in ('cpu_memory', 'gpu_memory'):
        if isinstance(settings.get(key), str):  # before v3.0 the page counts in MiB and shared.args has '3500MiB'
            del settings[key]
    settings[KERNEL] = gptq_loader.kernel_or_auto(settings.get(KERNEL), name)
    settings[FORMAT] = settings.get(FORMAT) or 'auto'
    if not settings.get(CHECKPOINT):
        try:
            settings[CHECKPOINT] = gptq_loader.summary(name).checkpoint.name
        except GPTQError:  # the folder has gone since
            settings[CHECKPOINT] = ''
    if gptq_loader.loaded_off_page:  # else the page that loaded it has set them, and its user may have changed them
        gptq_loader.loaded_off_page = False
        settings |= {k: shared.settings[k] for k in _OF_MODEL if k in shared.settings}
    return {'loader': LOADER, **settings}


@contextmanager
def kept_while_active() -> Iterator[None]:
    """Puts back afterwards what shared.args has of the active model, if it is one of airoboros-GPTQ."""
    args = vars(shared.args)
    before = {k: args[k] for k in versions.model_elements() if k in args} if gptq_loader.is_active() else {}
    try:
        yield
    finally:
        args.update(before)


def save(model_name: str, state: dict[str, Any]) -> str:
    """Saves the settings of a GPTQ model in config-user.yaml; returns the message for the page.

    `loader` is left out: the webui, where it starts before or without this extension, fails on a name that it does not
    know, and the folder itself shows that it is GPTQ.
    """
    config = shared.load_user_config()
    entry = config.setdefault(Path(model_name).name + '$', {})
    entry.pop('loader', None)
    elements = versions.model_elements()
    for key in loaders.loaders_and_params[LOADER]:
        if key in elements and key in state:
            entry[key] = state[key]
    shared.user_config = config
    target = Path(shared.args.model_dir) / 'config-user.yaml'
    temporary = target.with_suffix('.yaml.new')
    temporary.write_text(yaml.dump(config, sort_keys=False), encoding='utf-8')
    os.replace(temporary, target)
    return f'Settings for `{model_name}` saved to `{target}`.'
