"""Other extensions that patch the same functions, and removing the patches, on the stand-in."""

import functools
import sys
from types import ModuleType

import pytest

from .conftest import MODEL, Model, seams

LOADER = 'airoboros-GPTQ'


@pytest.fixture
def other(webui):
    """Another extension: wraps modules.models.load_model, with or without functools.wraps."""
    script = ModuleType('user_ext_other')
    script.seen = []

    def patch(with_wraps: bool):
        original = webui.models.load_model

        def load_model(model_name, loader=None):
            script.seen.append(model_name)
            return original(model_name, loader)

        webui.models.load_model = functools.wraps(original)(load_model) if with_wraps else load_model

    script.patch = patch
    sys.modules[script.__name__] = script
    yield script
    del sys.modules[script.__name__]


@pytest.fixture
def loads(webui, monkeypatch):
    """The models that the loader was called for."""
    names = []
    monkeypatch.setattr(webui.loader, 'load', lambda name: names.append(name) or (f'{name} by gptq', 'tokenizer'))
    return names


@pytest.mark.parametrize('with_wraps', [True, False])
@pytest.mark.parametrize('first', ['other', 'this'])
def test_another_patch_of_load_model_works_beside_this_one(webui, other, loads, with_wraps, first):
    for extension in (first, 'this' if first == 'other' else 'other'):
        webui.patches.apply() if extension == 'this' else other.patch(with_wraps)
    webui.patches.apply()  # as after a restart
    assert webui.models.load_model(MODEL, LOADER) == (f'{MODEL} by gptq', 'tokenizer')
    assert (loads, other.seen) == ([MODEL], [MODEL])
    # The Model tab imported load_model by value: there only this extension patches it.
    assert webui.ui_model_menu.load_model(MODEL, LOADER)[0] == f'{MODEL} by gptq'
    assert loads == [MODEL, MODEL]
    assert webui.models.load_model('plain', 'Transformers')[0] == 'plain by transformers'
    assert other.seen == [MODEL, 'plain']


@pytest.mark.parametrize('with_wraps', [True, False])
@pytest.mark.parametrize('first', ['other', 'this'])
def test_undo_leaves_the_other_patch(webui, other, loads, with_wraps, first):
    for extension in (first, 'this' if first == 'other' else 'other'):
        webui.patches.apply() if extension == 'this' else other.patch(with_wraps)
    webui.patches.undo()
    assert LOADER not in webui.loaders.loaders_and_params
    assert webui.models.load_model(MODEL, 'Transformers')[0] == f'{MODEL} by transformers'
    with pytest.raises(KeyError):
        webui.models.load_model(MODEL, LOADER)
    assert other.seen == [MODEL, MODEL]
    assert webui.models_settings.get_model_metadata(MODEL)['loader'] == 'Transformers'
    # And it can be patched again.
    webui.patches.apply()
    assert webui.models.load_model(MODEL, LOADER)[0] == f'{MODEL} by gptq'
    assert (loads, other.seen) == ([MODEL], [MODEL] * 3)


def test_unticked_in_the_session_tab_it_leaves_nothing_behind(webui, loads):
    before = seams()
    flags = vars(webui.shared.args).copy()
    webui.script.setup()
    webui.extensions.state = {'airoboros_gptq': [True, 0, webui.script]}
    webui.extensions.setup_called.add(webui.script)
    webui.ui_model_menu.load_model(MODEL, LOADER)
    webui.shared.model = Model()
    webui.ui_session.set_interface_arguments(['gallery'], [])
    assert webui.shared.need_restart
    assert webui.shared.model is None and webui.shared.args.loader is None
    assert webui.extensions.state == {} and webui.extensions.setup_called == set()
    after = seams()
    assert [key for key in before if after[key] is not before[key]] == []
    assert LOADER not in webui.loaders.loaders_and_params
    assert vars(webui.shared.args) == {**flags, 'extensions': ['gallery']}


def test_a_restart_with_the_extension_keeps_the_model(webui, loads):
    webui.script.setup()
    webui.ui_model_menu.load_model(MODEL, LOADER)
    webui.shared.model = Model()
    webui.ui_session.set_interface_arguments(['gallery', 'airoboros_gptq'], [])
    assert webui.shared.need_restart and webui.shared.model and webui.shared.args.loader == LOADER
    assert LOADER in webui.loaders.loaders_and_params


def test_the_log_names_the_loader(webui, monkeypatch):
    named = []

    def transformers_loader(model_name):
        named.append(f'LOADER: "{webui.shared.args.loader}"')  # as load_model writes it
        return 'a model', 'its tokenizer'

    webui.patches.apply()
    monkeypatch.setattr(webui.loader, 'load', transformers_loader)
    webui.models.load_model(MODEL, LOADER)
    assert named == ['LOADER: "airoboros-GPTQ"']


def test_a_pick_reads_a_folder_once_and_a_change_in_it_again(webui, monkeypatch):
    webui.patches.apply()
    session = webui.script._import('session')
    read, read_summary = [], session.read_summary
    monkeypatch.setattr(session, 'read_summary', lambda *a, **k: read.append(a) or read_summary(*a, **k))
    webui.models_settings.get_model_metadata(MODEL)
    webui.model_tab._on_pick(MODEL)
    webui.models_settings.get_model_metadata(MODEL)
    webui.model_tab._facts(MODEL, '', 'auto')
    assert len(read) == 1
    config = webui.models_folder / MODEL / 'quantize_config.json'
    config.write_text(config.read_text().replace('"bits": 4', '"bits": 8'))
    assert 'says bits is 8' in webui.model_tab._facts(MODEL, '', 'auto')
