"""Differences between versions of the webui: what has moved, or has another name. One function for each."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from modules import loaders, models, shared

# Loaders that the webui infers for GPTQ folders: AutoGPTQ before v2.2, ExLlamaV2 before v4.0, where they are installed;
# Transformers otherwise, which needs a package for GPTQ that no version installs.
INFERRED_FOR_GPTQ = ('Transformers', 'ExLlamav2_HF', 'ExLlamav2', 'AutoGPTQ')


def transformers_loader() -> str:
    """The function of modules.models that loads for Transformers: huggingface_loader before v3."""
    return 'huggingface_loader' if hasattr(models, 'huggingface_loader') else 'transformers_loader'


def model_elements_module() -> str:
    """The module that has list_model_elements(): modules.ui before v4.1."""
    return 'modules.loaders' if hasattr(loaders, 'list_model_elements') else 'modules.ui'


def model_elements() -> list[str]:
    """The settings of the Model tab that are saved and restored, those of this extension included."""
    elements: list[str] = sys.modules[model_elements_module()].list_model_elements()
    return elements


def options_column() -> Any:
    """The block of the Model tab that holds the webui's options for loaders of its kind: the right column of "Main options"
    since v3.3, of all options before.
    """
    return shared.gradio['load_in_8bit'].parent


def guesses_generation_prompt() -> bool:
    """Whether the webui guesses from two rendered answers what an answer begins after: before v3.4. Later versions render
    the template with add_generation_prompt.
    """
    return hasattr(sys.modules.get('modules.chat'), 'get_generation_prompt')


def api_script() -> str:
    """The module of the API: an extension before v4.0."""
    return 'modules.api.script' if importlib.util.find_spec('modules.api') else 'extensions.openai.script'


def has_page() -> bool:
    """Whether this webui shows a page: with --nowebui it imports no module of the page."""
    return 'modules.ui_model_menu' in sys.modules


def argument_namespaces() -> list[SimpleNamespace]:
    """The namespaces that hold settings and their defaults; original_args is there since v3.15."""
    namespaces = (getattr(shared, name, None) for name in ('args', 'original_args', 'args_defaults'))
    return [namespace for namespace in namespaces if namespace is not None]


def data_folders() -> list[Path]:
    """The folders that may hold presets and templates: the user_data folder since v3.1, the webui's root before."""
    return [Path(getattr(shared, 'user_data_dir', 'user_data')), Path('.')]


def attn_implementation() -> str | None:
    """The attention implementation that the user chose: in a menu since v3.8, with a checkbox for each before."""
    for flag, name in (('use_eager_attention', 'eager'), ('use_flash_attention_2', 'flash_attention_2')):
        if getattr(shared.args, flag, False):
            return name
    return getattr(shared.args, 'attn_implementation', None)
