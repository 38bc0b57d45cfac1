"""What older versions of the webui have elsewhere, or under another name: the stand-in with that changed."""

from functools import partial
from types import FunctionType

import jinja2
import pytest
import yaml

from .conftest import MODEL, ROOT

OURS = 'airoboros-GPTQ'


def move(function, module, name):
    """The function as if it had been written in another module, under another name."""
    moved = FunctionType(function.__code__.replace(co_name=name), vars(module), name, function.__defaults__)
    setattr(module, name, moved)


@pytest.fixture
def old(webui):
    """As before v3: the loader function's name, where the settings of the Model tab are listed, and no original_args."""
    loaders = {'loaders_and_params': {'Transformers': ['cpu', 'use_eager_attention']}}
    vars(webui.loaders).update(loaders)
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
    shown = old.loaders.loaders_and_params[OURS]
    assert {'cpu', 'use_eager_attention', 'gptq_checkpoint'} <= set(shown)
    assert 'attn_implementation' not in shown and 'bf16' not in shown


def test_the_older_loader_function_leads_to_us(old, monkeypatch):
    old.patches.apply()
    monkeypatch.setattr(old.loader, 'load', lambda name: (f'{name} by us', 'tokenizer'))
    assert old.models.load_model(MODEL, OURS)[0] == f'{MODEL} by us'
    assert old.models.load_model(MODEL, 'Transformers')[0] == f'{MODEL} by transformers'


def test_eager_attention_has_a_box_in_older_versions(old):
    old.shared.args.use_eager_attention = True
    versions = old.script._import('webui.versions')
    assert versions.attn_implementation() == 'eager'


def test_the_cue_is_the_template_s_own_where_the_webui_guesses_it(webui):
    source = (ROOT / 'instruction-templates' / 'Airoboros-v1.2.yaml').read_text('utf-8')
    template = jinja2.Environment(extensions=['jinja2.ext.loopcontrols']).from_string(
        yaml.safe_load(source)['instruction_template']
    )

    def get_generation_prompt(renderer, impersonate=False, strip_trailing_spaces=True):
        return 'USER:' if impersonate else 'ASSISTANT:', '</s>'

    move(get_generation_prompt, webui.chat, 'get_generation_prompt')
    webui.patches.apply()
    trained = partial(template.render, add_generation_prompt=False)
    assert webui.chat.get_generation_prompt(trained) == ('ASSISTANT:', '</s>')  # with another model: the webui's
    webui.shared.model, webui.shared.model_name, webui.shared.args.loader = object(), MODEL, OURS
    assert webui.chat.get_generation_prompt(trained) == (' ASSISTANT: ', '</s>')
    assert webui.chat.get_generation_prompt(trained, impersonate=True) == ('USER:', '</s>')
    without_cue = partial(jinja2.Template('{{ messages[0].content }}').render, add_generation_prompt=False)
    assert webui.chat.get_generation_prompt(without_cue) == ('ASSISTANT:', '</s>')
    webui.patches.undo()
    assert webui.chat.get_generation_prompt(trained) == ('ASSISTANT:', '</s>')
