"""config.json chooses no code: neither a kernel from a hub nor a module of the repository, at any depth."""

import pytest
import torch
from airoboros_gptq.model.load_plan import make_plan
from airoboros_gptq.model.skeleton import make_skeleton
from airoboros_gptq.model.untrusted_config import ATTENTION, EXPERTS, drop_code_names
from airoboros_gptq.preflight.folder_summary import read_summary
from support import edit_json
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

KEYS = ('attn_implementation', '_attn_implementation', '_attn_implementation_internal')
# The last is transformers' own name of a package that is not installed here: it then takes a kernel from the hub.
FOREIGN = ('someone/kernel', 'kernels-community/flash-attn2', 'someone/kernel@main:forward', 'flash_attention_2')
needs_nested = pytest.mark.skipif('gemma3' not in CONFIG_MAPPING, reason='a transformers without Gemma 3')


@pytest.mark.parametrize('name', FOREIGN)
@pytest.mark.parametrize('key', KEYS)
def test_attention_from_a_hub(tiny_copy, key, name):
    edit_json(tiny_copy / 'config.json', **{key: name})
    model = make_skeleton(make_plan(read_summary(tiny_copy), 'cpu', torch.float16))
    assert model.config._attn_implementation in ATTENTION


def test_own_names_stay(tiny_copy):
    edit_json(tiny_copy / 'config.json', attn_implementation='eager')
    model = make_skeleton(make_plan(read_summary(tiny_copy), 'cpu', torch.float16))
    assert model.config._attn_implementation == 'eager'


@needs_nested
@pytest.mark.parametrize('key', [*KEYS, 'experts_implementation', '_experts_implementation'])
def test_nested_configurations(key):
    config = AutoConfig.for_model('gemma3', text_config={key: 'someone/kernel', 'auto_map': {'AutoModel': 'x.Y'}})
    drop_code_names(config)
    for part in (config, config.text_config, config.vision_config):
        assert getattr(part, '_attn_implementation_internal', None) in (None, *ATTENTION)
        assert getattr(part, '_experts_implementation_internal', None) in (None, *EXPERTS)
    assert not hasattr(config.text_config, 'auto_map')


def test_every_name_that_is_let_through_is_known_to_transformers():
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    assert set(ATTENTION) - {'eager'} <= set(ALL_ATTENTION_FUNCTIONS.valid_keys())
    assert not any('/' in name for name in (*ATTENTION, *EXPERTS))
