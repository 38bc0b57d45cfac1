"""What the webui is told of a model of ours when it is picked, and what it keeps when its settings are saved."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml
from modules import loaders, shared
from modules.logging_colors import logger

from ..airoboros.versions import Airoboros
from ..errors import GPTQError
from ..names import CHECKPOINT, FORMAT, KERNEL, LOADER
from . import loader as loading
from . import versions

_EXTENSION = Path(__file__).resolve().parents[1]
_FROM_FOLDER = 'Custom (obtained from model metadata)'  # what it calls a chat template of the tokenizer's


def describe(model_name, settings: dict) -> None:
    """Completes what the webui's get_model_metadata says of a folder of ours: checkpoint, kernel, format, template."""
    settings.setdefault(KERNEL, 'auto')
    settings.setdefault(FORMAT, 'auto')
    try:
        facts = loading.facts(model_name)
    except GPTQError:  # the status line has the sentence
        settings.setdefault(CHECKPOINT, '')
    else:
        if settings.get(CHECKPOINT) not in facts.candidates:
            settings[CHECKPOINT] = facts.checkpoint.name
    airoboros = loading.family(model_name)
    if airoboros and not _template_is_chosen(model_name, settings, airoboros):
        template = airoboros.format.template
        try:
            settings |= {'instruction_template': template, 'instruction_template_str': _trained(template)}
        except GPTQError as e:
            logger.error(str(e))


def _trained(template: str) -> str:
    """The template as this extension has it. The webui's folder has one of the same name up to v4.1, with newlines where
    the model was trained with spaces, and may have none where the extension was put in by hand.
    """
    # Where install.py puts them, or in the checkout that a link leads to; else as somebody put them into the webui.
    places = [_EXTENSION, _EXTENSION.parents[1], *versions.data_folders()]
    files = (place / 'instruction-templates' / f'{template}.yaml' for place in places)
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise GPTQError(f'The template {template} is not in {_EXTENSION}; run install.py again.')
    return yaml.safe_load(found.read_text(encoding='utf-8'))['instruction_template']


def _template_is_chosen(model_name, settings: dict, airoboros: Airoboros) -> bool:
    """Whether the user names a template; or the folder, for an Airoboros whose version is not known here. Of a known one
    we know better: the tokenizers of 3.x carry Llama-2's general template, without what 3.1 was trained with, and the
    list that the webui had up to v4.2 (models/config.yaml) takes most of them for Vicuna.
    """
    name = Path(model_name).name.lower()
    if any('instruction_template' in v for k, v in shared.user_config.items() if re.match(k.lower(), name)):
        return True
    return settings.get('instruction_template') == _FROM_FOLDER and not airoboros.known


def save(model_name, state: dict) -> str:
    """Saves the settings of a model of ours in config-user.yaml; returns the word for the status line.

    Written without `loader`: a name that only we know would stop a webui that starts before us, or without us, and the
    folder itself tells us that it is ours.
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
    written = target.with_suffix('.yaml.new')
    written.write_text(yaml.dump(config, sort_keys=False), encoding='utf-8')
    os.replace(written, target)
    return f'Settings for `{model_name}` saved to `{target}`.'
