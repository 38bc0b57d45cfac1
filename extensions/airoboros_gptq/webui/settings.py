"""What the webui is told of a model of ours when it is picked, and what it keeps when its settings are saved."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml
from modules import loaders, models_settings, shared

from ..core.errors import GPTQError
from ..core.family import Airoboros
from . import loading
from .names import CHECKPOINT, FORMAT, KERNEL, LOADER

_FALLBACK_TEMPLATE = 'Alpaca'  # what the webui takes where neither the folder nor the user names one
_FROM_FOLDER = 'Custom (obtained from model metadata)'  # what it calls a chat template of the tokenizer's


def describe(model_name, settings: dict) -> None:
    """Completes what the webui's get_model_metadata says of a folder of ours: checkpoint, kernel, format, template."""
    settings.setdefault(KERNEL, 'auto')
    settings.setdefault(FORMAT, 'auto')
    try:
        facts = loading.facts(model_name)
    except GPTQError:
        settings.setdefault(CHECKPOINT, '')
        return  # the status line has the sentence
    if settings.get(CHECKPOINT) not in facts.candidates:
        settings[CHECKPOINT] = facts.checkpoint.name
    if facts.family and not _template_is_chosen(model_name, settings, facts.family):
        template = facts.family.format.template
        settings['instruction_template'] = template
        settings['instruction_template_str'] = models_settings.load_instruction_template(template)


def _template_is_chosen(model_name, settings: dict, airoboros: Airoboros) -> bool:
    """Whether the user names a template; or the folder, for an Airoboros whose version is not known here. Of a known one
    we know better: the tokenizers of 3.x carry Llama-2's general template, without what 3.1 was trained with.
    """
    open_ones = (_FALLBACK_TEMPLATE, _FROM_FOLDER) if airoboros.known else (_FALLBACK_TEMPLATE,)
    if settings.get('instruction_template') not in open_ones:
        return True
    name = Path(model_name).name.lower()
    return any('instruction_template' in v for k, v in shared.user_config.items() if re.match(k.lower(), name))


def save(model_name, state: dict) -> str:
    """Saves the settings of a model of ours in config-user.yaml; returns the word for the status line.

    Written without `loader`: a name that only we know would stop a webui that starts before us, or without us, and the
    folder itself tells us that it is ours.
    """
    config = shared.load_user_config()
    entry = config.setdefault(Path(model_name).name + '$', {})
    entry.pop('loader', None)
    elements = loaders.list_model_elements()
    for key in loaders.loaders_and_params[LOADER]:
        if key in elements and key in state:
            entry[key] = state[key]
    shared.user_config = config
    target = Path(shared.args.model_dir) / 'config-user.yaml'
    written = target.with_suffix('.yaml.new')
    written.write_text(yaml.dump(config, sort_keys=False), encoding='utf-8')
    os.replace(written, target)
    return f'Settings for `{model_name}` saved to `{target}`.'
