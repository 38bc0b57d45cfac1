"""What the webui imports. At import this file and what it imports need neither torch nor transformers nor gradio."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

# Settings with their defaults. The webui fills in the user's from settings.yaml: `airoboros_gptq-always_offer_plainformat: true`.
params: dict[str, Any] = {
    'always_offer_plainformat': False,  # show the PLAINFORMAT box for every model loaded with airoboros-GPTQ
    'load_at_start': '',  # the name of a model, as for --model
}

_NAME = 'airoboros_gptq'
_FOLDER = Path(__file__).resolve().parent


def setup() -> None:
    """Called by the webui when the extension is loaded, and again after a restart in the Session tab."""
    _import('webui.patches').apply()
    _import('webui.loader').gptq_loader.settings = params
    _import('webui.startup_model').load(params['load_at_start'])


def chat_input_modifier(text: str, visible_text: str, state: dict[str, Any]) -> tuple[str, str]:
    """Adds PLAINFORMAT to the message that is sent, not to the one that is shown."""
    return _import('webui.chat_tab').modify_input(text, state), visible_text


def input_modifier(string: str, state: dict[str, Any]) -> str:
    """The same for prompts of the Notebook and Default tabs."""
    prompt: str = _import('webui.notebook_tab').modify_prompt(string, state)
    return prompt


def custom_css() -> str:
    """The style sheet of the panel and the message footer."""
    css: str = _import('ui.html').CSS
    return css


def _import(module: str) -> Any:
    _package()
    return importlib.import_module(f'{_NAME}.{module}')


def _package() -> ModuleType:
    """The package that this file lies in. The webui loads this file alone, under another name, from extensions/ or
    user_data/extensions/, neither of which is importable in every version.
    """
    imported = sys.modules.get(_NAME)
    if imported is not None and Path(imported.__file__ or '').resolve().parent == _FOLDER:
        return imported
    spec = importlib.util.spec_from_file_location(
        _NAME, _FOLDER / '__init__.py', submodule_search_locations=[str(_FOLDER)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)
    return package
