"""The stand-in as a webui that has just been started, with the tiny model in its models folder."""

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


class Model:
    """Stands in for a loaded model."""

    gptq = SimpleNamespace(description='it runs', throughput=None, memory_used='process: 1 B')


WITHOUT_PAGE = (
    'shared utils loaders models_settings models LoRA ui html_generator chat extensions text_generation'.split()
)
PAGE = 'ui_model_menu ui_chat ui_session ui_notebook ui_default'.split()


@pytest.fixture
def webui(tmp_path, monkeypatch):
    """The webui's modules and the extension's by name, and the webui's functions as they were; nothing is patched yet."""
    pytest.importorskip('gradio', reason='the page of a webui needs gradio', exc_type=ImportError)
    models = tmp_path / 'user_data' / 'models'
    shutil.copytree(TINY, models / MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(STANDIN)
    _forget()
    modules = {name: importlib.import_module(f'modules.{name}') for name in (*WITHOUT_PAGE, *PAGE)}
    originals = seams()

    def add_model(name: str) -> Path:
        return Path(shutil.copytree(TINY, models / name))

    script = _load_script()
    extension = {name: script._import(f'webui.{name}') for name in ('patches', 'chat_tab', 'model_tab')}
    extension['loader'] = script._import('webui.loader').gptq_loader
    more = {'folder': tmp_path, 'models_folder': models, 'originals': originals, 'add_model': add_model}
    yield SimpleNamespace(**modules, **extension, **more, script=script)
    _forget()


def seams() -> dict:
    """Every callable of the stand-in's modules as it is now, by (module, name)."""
    modules = {name: vars(module) for name, module in sys.modules.items() if name.split('.')[0] == 'modules'}
    return {(name, key): value for name, space in modules.items() for key, value in space.items() if callable(value)}


def _load_script():
    """Imports script.py as the webui does: alone, under another name."""
    spec = importlib.util.spec_from_file_location('user_ext_airoboros_gptq', SCRIPT)
    script = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def _forget():
    for name in list(sys.modules):
        if name.split('.')[0] == 'modules' or name.startswith(('airoboros_gptq.webui', 'user_ext_airoboros')):
            del sys.modules[name]
