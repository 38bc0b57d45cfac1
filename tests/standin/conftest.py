"""The stand-in as a webui that has just started, with the tiny model in its models folder."""

import importlib
import importlib.util
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

STANDIN = Path(__file__).resolve().parent
ROOT = STANDIN.parents[1]
SCRIPT = ROOT / 'extensions' / 'airoboros_gptq' / 'script.py'
TINY = ROOT / 'tests' / 'models' / 'airoboros-tiny-gpt4-1.2-GPTQ'
MODEL = TINY.name
WITHOUT_PAGE = (
    'shared utils loaders models_settings models LoRA ui html_generator chat extensions text_generation'.split()
)
PAGE = 'ui_model_menu ui_chat ui_session ui_notebook ui_default'.split()


@pytest.fixture
def webui(tmp_path, monkeypatch):
    """Its modules by name, our modules, and what stood in its modules before us. Nothing is patched yet."""
    pytest.importorskip('gradio', reason='the page of a webui needs gradio', exc_type=ImportError)
    models = tmp_path / 'user_data' / 'models'
    shutil.copytree(TINY, models / MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(STANDIN)
    _forget()
    found = {name: importlib.import_module(f'modules.{name}') for name in (*WITHOUT_PAGE, *PAGE)}
    originals = seams()

    def add_model(name: str) -> Path:
        return Path(shutil.copytree(TINY, models / name))

    script = _load_script()
    ours = {name: script._import(f'webui.{name}') for name in ('patches', 'chat_tab', 'model_tab')}
    ours['loader'] = script._import('webui.loader').gptq_loader
    more = {'folder': tmp_path, 'models_folder': models, 'originals': originals, 'add_model': add_model}
    yield SimpleNamespace(**found, **ours, **more, script=script)
    _forget()


def seams() -> dict:
    """Every function that stands in a module of the stand-in now."""
    modules = {name: vars(module) for name, module in sys.modules.items() if name.split('.')[0] == 'modules'}
    return {(name, key): value for name, space in modules.items() for key, value in space.items() if callable(value)}


def _load_script():
    """As the webui does it: alone, under a name of its own."""
    spec = importlib.util.spec_from_file_location('user_ext_airoboros_gptq', SCRIPT)
    script = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _forget():
    for name in list(sys.modules):
        if name.split('.')[0] == 'modules' or name.startswith(('airoboros_gptq.webui', 'user_ext_airoboros')):
            del sys.modules[name]
