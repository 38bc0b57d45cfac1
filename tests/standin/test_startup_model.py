"""Starting with a model, by --model or by load_at_start, on the stand-in."""

import sys
from types import SimpleNamespace

import pytest

from .conftest import MODEL

LOADER = 'airoboros-GPTQ'


@pytest.fixture
def startup(webui, monkeypatch):
    """The module startup_model, in a webui that was started with the extension; nothing is loaded yet."""
    shared = webui.shared
    monkeypatch.setattr(shared.args, 'extensions', ['airoboros_gptq'], raising=False)
    monkeypatch.setattr(shared.args, 'lora', None, raising=False)
    known = ('Transformers', LOADER)
    monkeypatch.setattr(shared, 'fix_loader_name', lambda name: name if name in known else None, raising=False)
    monkeypatch.setattr(webui.models_settings, 'update_model_parameters', lambda *a, **k: None, raising=False)
    monkeypatch.setattr(webui.loader, 'load', lambda name: (f'{name} by gptq', 'tokenizer'))
    yield webui.script._import('webui.startup_model')
    webui.patches.undo()


@pytest.fixture
def deferred(webui, startup):
    """start(name): the webui's own load of --model, which the start hook has asked to defer: (model, tokenizer)."""
    startup.defer_load(webui.models)

    def start(name=MODEL):
        webui.shared.model_name = name
        webui.shared.model, webui.shared.tokenizer = webui.models.load_model(name, 'Transformers')
        return webui.shared.model, webui.shared.tokenizer

    return start


def test_the_load_of_a_gptq_folder_waits_for_setup(webui, deferred, caplog):
    caplog.set_level('INFO')
    assert deferred() == (None, None)
    assert f'{MODEL} is a GPTQ model: airoboros-GPTQ loads it as soon as the extensions are loaded.' in caplog.text
    webui.script.setup()
    assert (webui.shared.model, webui.shared.args.loader) == (f'{MODEL} by gptq', LOADER)
    assert 'Airoboros 1.2 and 1.3 as they were trained' in webui.shared.settings['instruction_template_str']
    # Once: not again after a restart in the Session tab, and later loads are not deferred.
    webui.shared.model = None
    webui.script.setup()
    assert webui.shared.model is None
    assert webui.models.load_model(MODEL, 'Transformers')[0] == f'{MODEL} by transformers'


def test_loras_of_the_command_line_are_applied_after_the_load(webui, deferred, monkeypatch):
    applied = []
    monkeypatch.setattr(webui.LoRA, 'add_lora_to_model', applied.append)
    webui.shared.args.lora = ['first']
    deferred()
    assert webui.shared.args.lora is None and applied == []
    webui.script.setup()
    assert applied == [['first']]


@pytest.mark.parametrize('reason', ['not enabled', '--loader', 'saved loader', 'not GPTQ'])
def test_other_loads_are_not_deferred(webui, deferred, reason):
    name = 'plain' if reason == 'not GPTQ' else MODEL
    if reason == 'not enabled':
        webui.shared.args.extensions = ['gallery']
    elif reason == '--loader':
        webui.shared.original_args.loader = 'Transformers'
    elif reason == 'saved loader':
        webui.shared.user_config = {f'{MODEL}$': {'loader': 'Transformers'}}
    assert deferred(name)[0] == f'{name} by transformers'
    if reason != 'not enabled':
        webui.script.setup()
        assert webui.shared.model == f'{name} by transformers'


def test_exllamav2_of_v3_is_replaced_until_it_is_called(webui, startup, monkeypatch):
    module = SimpleNamespace(__name__='modules.exllamav2_hf')
    monkeypatch.setitem(sys.modules, module.__name__, module)
    webui.shared.model_name = 'plain'
    assert startup.replace_module(module) is False and not hasattr(module, 'Exllamav2HF')
    webui.shared.model_name = MODEL
    assert startup.replace_module(module) is True
    assert module.Exllamav2HF.from_pretrained(MODEL) == (None, None)
    assert module.__name__ not in sys.modules


def test_without_the_start_hook_it_is_loaded_again(webui, startup, caplog):
    webui.shared.model_name, webui.shared.model = MODEL, f'{MODEL} by transformers'
    webui.script.setup()
    assert webui.shared.model == f'{MODEL} by gptq'
    assert f'Put `airoboros_gptq-load_at_start: {MODEL}` into settings.yaml in place of --model' in caplog.text


def test_load_at_start(webui, startup, caplog):
    webui.script.params['load_at_start'] = MODEL
    webui.script.setup()
    assert webui.shared.model == f'{MODEL} by gptq'


def test_load_at_start_of_a_missing_model_is_one_line_in_the_log(webui, startup, caplog):
    webui.script.params['load_at_start'] = 'not-there'
    webui.script.setup()
    assert [r.getMessage() for r in caplog.records] == [
        'airoboros_gptq-load_at_start in settings.yaml: there is no not-there in user_data/models.'
    ]
    assert webui.shared.model is None


def test_a_load_that_raises_leaves_a_webui_without_a_model(webui, startup, monkeypatch, caplog):
    def fail(name):
        raise RuntimeError('no memory')

    monkeypatch.setattr(webui.models, 'transformers_loader', fail)
    webui.script.params['load_at_start'] = 'plain'
    (webui.models_folder / 'plain').mkdir()
    webui.script.setup()
    assert webui.shared.model is None
    assert 'plain could not be loaded; the webui starts without a model.' in caplog.text
