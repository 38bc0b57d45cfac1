"""What the webui imports. Heavy imports wait: this file and what it imports bring in neither torch nor transformers."""

import importlib.util
import sys
from pathlib import Path

# Settings, with their defaults. The webui takes the user's from settings.yaml: `airoboros_gptq-always_offer_plainformat: true`.
params = {
    'always_offer_plainformat': False,  # the PLAINFORMAT box for every model that our loader has loaded
    'load_at_start': '',  # the name of a model, as --model has it
}

_NAME = 'airoboros_gptq'
_FOLDER = Path(__file__).resolve().parent


def _package():
    """The package this file lies in. The webui loads this file alone, under a name of its own choosing, from
    extensions/ or user_data/extensions/, neither of which is importable everywhere.
    """
    found = sys.modules.get(_NAME)
    if found is not None and Path(found.__file__).resolve().parent == _FOLDER:
        return found
    spec = importlib.util.spec_from_file_location(
        _NAME, _FOLDER / '__init__.py', submodule_search_locations=[str(_FOLDER)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)
    return package


def _import(module: str):
    _package()
    return importlib.import_module(f'{_NAME}.{module}')


def setup():
    """Called by the webui when the extension is loaded, and again after a restart in the Session tab."""
    _import('webui.patches').apply()
    _import('webui.loader').params = params
    _import('webui.startup_model').load(params['load_at_start'])


def chat_input_modifier(text, visible_text, state):
    """Adds PLAINFORMAT to what is sent, not to what is shown."""
    return _import('webui.chat_tab').modify_input(text, state), visible_text


def input_modifier(string, state):
    """The same for the prompts of the Notebook and Default tabs."""
    return _import('webui.notebook_tab').modify_prompt(string, state)


def custom_css():
    """The look of the panel."""
    return _import('ui.html').CSS
