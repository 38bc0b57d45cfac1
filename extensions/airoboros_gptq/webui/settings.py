"""What the webui is told of a model of ours when it is picked, and what it keeps when its settings are saved."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml
from modules import loaders, models_settings, shared

from ..core.errors import GPTQError
from ..core.prompts import TEMPLATE_NAME
from . import loading
from .names import CHECKPOINT, KERNEL, LOADER

_FALLBACK_TEMPLATE = 'Alpaca'  # what the webui takes where neither the folder nor the user names one


def describe(model_name, settings: dict) -> None:
    """Completes what the webui's get_model_metadata says of a folder of ours: checkpoint, kernel, template."""
    settings.setdefault(KERNEL, 'auto')
    try:
        facts = loading.facts(model_name)
    except GPTQError:
        settings.setdefault(CHECKPOINT, '')
        return  # the status line has the sentence
    if settings.get(CHECKPOINT) not in facts.candidates:
        settings[CHECKPOINT] = facts.checkpoint.name
    if facts.airoboros and not _template_is_chosen(model_name, settings):
        settings['instruction_template'] = TEMPLATE_NAME
        settings['instruction_template_str'] = models_settings.load_instruction_template(TEMPLATE_NAME)


def _template_is_chosen(model_name, settings: dict) -> bool:
    """Whether the folder or the user names a template."""
    if settings.get('instruction_template') != _FALLBACK_TEMPLATE:
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
