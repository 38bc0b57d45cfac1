"""Older versions of the webui: the stand-in with functions moved or renamed."""

from functools import partial
from types import FunctionType

import jinja2
import pytest
import yaml

from .conftest import MODEL, ROOT, Model

LOADER = 'airoboros-GPTQ'


def move(function, module, name):
    """Defines the function in another module, under another name."""
    moved = FunctionType(function.__code__.replace(co_name=name), vars(module), name, function.__defaults__)
    setattr(module, name, moved)


@pytest.fixture
def old(webui):
    """As before v3: another name of the loader function, list_model_elements() in modules.ui, and no original_args."""
    tables = {'loaders_and_params': {'Transformers': ['cpu', 'use_eager_attention']}}
    vars(webui.loaders).update(tables)
    del webui.loaders.list_model_elements
    webui.ui.list_model_elements = FunctionType(
        (lambda: ['loader', 'cpu', 'bf16']).__code__.replace(co_name='list_model_elements'), vars(webui.ui)
    )
    del webui.shared.original_args
    move(webui.models.transformers_loader, webui.models, 'huggingface_loader')
    webui.models.transformers_loader = lambda name: webui.models.huggingface_loader(name)  # for load_model's table
    yield webui
    webui.patches.undo()


def test_settings_are_listed_where_this_version_lists_them(old, caplog):
    old.patches.apply()
    assert old.ui.list_model_elements() == ['loader', 'cpu', 'bf16', 'gptq_checkpoint', 'gptq_kernel', 'gptq_format']
    assert not [r for r in caplog.records if 'list_model_elements' in r.getMessage()]
    old.patches.undo()
    assert old.ui.list_model_elements() == ['loader', 'cpu', 'bf16']


def test_only_settings_that_this_version_has_are_shown(old):
    old.patches.apply()
    shown = old.loaders.loaders_and_params[LOADER]
    assert {'cpu', 'use_eager_attention', 'gptq_checkpoint'} <= set(shown)
    assert 'attn_implementation' not in shown and 'bf16' not in shown


def test_the_older_loader_function_calls_this_loader(old, monkeypatch):
    old.patches.apply()
    monkeypatch.setattr(old.loader, 'load', lambda name: (f'{name} by gptq', 'tokenizer'))
    assert old.models.load_model(MODEL, LOADER)[0] == f'{MODEL} by gptq'
    assert old.models.load_model(MODEL, 'Transformers')[0] == f'{MODEL} by transformers'


def test_eager_attention_has_a_box_in_older_versions(old):
    old.shared.args.use_eager_attention = True
    versions = old.script._import('webui.versions')
    assert versions.attn_implementation() == 'eager'


def test_the_generation_prompt_is_the_templates_where_the_webui_guesses_it(webui):
    source = (ROOT / 'instruction-templates' / 'Airoboros-v1.2.yaml').read_text('utf-8')
    template = jinja2.Environment(extensions=['jinja2.ext.loopcontrols']).from_string(
        yaml.safe_load(source)['instruction_template']
    )

    def get_generation_prompt(renderer, impersonate=False, strip_trailing_spaces=True):
        return 'USER:' if impersonate else 'ASSISTANT:', '</s>'

    move(get_generation_prompt, webui.chat, 'get_generation_prompt')
    webui.patches.apply()
    trained = partial(template.render, add_generation_prompt=False)
    assert webui.chat.get_generation_prompt(trained) == ('ASSISTANT:', '</s>')  # another model: unchanged
    webui.shared.model, webui.shared.model_name, webui.shared.args.loader = Model(), MODEL, LOADER
    assert webui.chat.get_generation_prompt(trained) == (' ASSISTANT: ', '</s>')
    assert webui.chat.get_generation_prompt(trained, impersonate=True) == ('USER:', '</s>')
    without_prompt = partial(jinja2.Template('{{ messages[0].content }}').render, add_generation_prompt=False)
    assert webui.chat.get_generation_prompt(without_prompt) == ('ASSISTANT:', '</s>')
    webui.patches.undo()
    assert webui.chat.get_generation_prompt(trained) == ('ASSISTANT:', '</s>')
