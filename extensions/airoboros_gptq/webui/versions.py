"""What stands elsewhere, or under another name, in older versions of the webui. One function for each such thing."""

from __future__ import annotations

import sys
from pathlib import Path

from modules import loaders, models, shared

# Loaders of the webui that read GPTQ folders, and are chosen by it for them where they are there: AutoGPTQ before v2.2,
# ExLlamaV2 before v4.0. Transformers would need a package that no version has.
OTHERS_FOR_GPTQ = ('Transformers', 'ExLlamav2_HF', 'ExLlamav2', 'AutoGPTQ')


def transformers_loader() -> str:
    """The function of modules.models that loads for Transformers: huggingface_loader before v3."""
    return 'huggingface_loader' if hasattr(models, 'huggingface_loader') else 'transformers_loader'


def home_of_model_elements() -> str:
    """The module that has list_model_elements(): modules.ui before v4.1."""
    return 'modules.loaders' if hasattr(loaders, 'list_model_elements') else 'modules.ui'


def model_elements() -> list[str]:
    """The settings of the Model tab that are saved and restored, ours among them."""
    return sys.modules[home_of_model_elements()].list_model_elements()


def cue_is_guessed() -> bool:
    """Whether the webui guesses from a template what an answer begins after: before v3.4. Later ones ask the template."""
    return hasattr(sys.modules.get('modules.chat'), 'get_generation_prompt')


def argument_namespaces() -> list:
    """Where settings have their values and defaults: original_args is there since v3.15."""
    found = (getattr(shared, name, None) for name in ('args', 'original_args', 'args_defaults'))
    return [namespace for namespace in found if namespace is not None]


def data_folders() -> list[Path]:
    """Where presets and templates may lie: the user_data folder since v3.1, the webui's root before."""
    return [Path(getattr(shared, 'user_data_dir', 'user_data')), Path('.')]


def attn_implementation() -> str | None:
    """What the user chose: in a menu since v3.8, with a box for each before."""
    for flag, name in (('use_eager_attention', 'eager'), ('use_flash_attention_2', 'flash_attention_2')):
        if getattr(shared.args, flag, False):
            return name
    return getattr(shared.args, 'attn_implementation', None)
