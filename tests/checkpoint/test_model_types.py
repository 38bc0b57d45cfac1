"""Configs of another time: types that were renamed, code that is not there; and what load() makes of them."""

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.checkpoint.model_types import RENAMED_TYPES, known_model_types, with_native_type
from made_models import compare, expected, make
from small_configs import build

REMOTE = {'AutoConfig': 'configuration_x.XConfig', 'AutoModelForCausalLM': 'modeling_x.XForCausalLM'}
RENAMED = {
    'RefinedWeb': ('falcon', {'n_layer': 2, 'n_head': 2, 'n_head_kv': 1, 'num_hidden_layers': None}
        | {'num_attention_heads': None, 'num_kv_heads': None, 'new_decoder_architecture': None}),
    'phi-msft': ('phi', {}),
    'Yi': ('llama', {}),
    'stablelm_epoch': ('stablelm', {}),
    'kimi_k2': ('deepseek_v3', {}),
    'aquila': ('llama', {}),
}  # fmt: skip


def reference(folder, **settings):
    return load(folder, device='cpu', kernel='reference', dtype='float32', **settings)[0]


@pytest.mark.parametrize('trust', [False, True])
@pytest.mark.parametrize('old', RENAMED)
def test_a_renamed_type_is_built_by_the_native_class(old, trust, tmp_path):
    native, changes = RENAMED[old]
    made = make(tmp_path, build(native))
    made.edit_config(model_type=old, auto_map=REMOTE, **changes)
    assert compare(reference(made.folder, trust_remote_code=trust), expected(made)) < 1e-5


def test_falcon_7b_shares_one_head(tmp_path):
    changes = {'new_decoder_architecture': False, 'multi_query': True, 'num_kv_heads': None, 'parallel_attn': True}
    made = make(tmp_path, build('falcon', **changes))
    made.edit_config(model_type='RefinedWebModel', auto_map=REMOTE, n_layer=2, n_head=2, num_hidden_layers=None)
    made.edit_config(num_attention_heads=None, num_kv_heads=None)
    assert compare(reference(made.folder), expected(made)) < 1e-5


@pytest.mark.parametrize('trust', [False, True])
def test_a_native_type_needs_no_code_that_is_not_there(trust, tmp_path):
    made = make(tmp_path, build('qwen2'))
    made.edit_config(auto_map=REMOTE)
    assert compare(reference(made.folder, trust_remote_code=trust), expected(made)) < 1e-5


def test_code_of_its_own_runs_only_where_it_is_trusted(tmp_path):
    made = make(tmp_path, build('llama'))
    classes = {'AutoConfig': 'configuration_foo.FooConfig', 'AutoModelForCausalLM': 'modeling_foo.FooForCausalLM'}
    made.edit_config(model_type='foo', auto_map=classes)
    (made.folder / 'configuration_foo.py').write_text(
        'from transformers import LlamaConfig\nclass FooConfig(LlamaConfig):\n    model_type = "foo"\n'
    )
    (made.folder / 'modeling_foo.py').write_text(
        'from transformers import LlamaForCausalLM\nfrom .configuration_foo import FooConfig\n'
        'class FooForCausalLM(LlamaForCausalLM):\n    config_class = FooConfig\n'
    )
    with pytest.raises(GPTQError, match=r'a foo, which runs by code of its own; .* trust_remote_code=True'):
        reference(made.folder)
    model = reference(made.folder, trust_remote_code=True)
    assert type(model).__name__ == 'FooForCausalLM'
    assert compare(model, expected(made)) < 1e-5


def test_every_new_name_is_one_of_transformers():
    assert {native for native, *_ in RENAMED_TYPES.values()} <= known_model_types()


def test_a_config_of_today_stays_as_it_is():
    config = {'model_type': 'llama', 'auto_map': REMOTE}
    assert with_native_type(config) is config


def test_the_base_model_alone_has_its_names_completed(tmp_path):
    """As from_pretrained(): names without base_model_prefix, and with it twice over in the language half's."""
    made = make(tmp_path, build('llama'))
    made.edit_tensors(lambda t: [t.update({n.removeprefix('model.'): t.pop(n)}) for n in list(t)])
    assert compare(reference(made.folder), expected(made)) < 1e-5
    made.edit_tensors(lambda t: [t.update({f'model.{n}': t.pop(n)}) for n in list(t) if n != 'lm_head.weight'])
    made.edit_tensors(lambda t: [t.update({f'language_model.{n}': t.pop(n)}) for n in list(t)])
    assert compare(reference(made.folder), expected(made)) < 1e-5
    assert torch.get_default_dtype() is torch.float32
