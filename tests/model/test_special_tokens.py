"""Which ids begin, end and pad a text: the tokenizer's, whatever the configs say."""

import json

import pytest
from airoboros_gptq import load
from airoboros_gptq.model.special_tokens import special_ids
from airoboros_gptq.model.tokenizer import load_tokenizer
from support import TINY, edit_json


@pytest.fixture(scope='module')
def tokenizer():
    return load_tokenizer(TINY)


@pytest.mark.parametrize(('claimed', 'eos'), [(None, 2), (1, 2), (2, 2), ([2, 7], [2, 7]), ([1, 7], 2), ('x', 2)])
def test_special_ids_are_the_tokenizer_s(tokenizer, claimed, eos):
    assert special_ids(tokenizer, claimed) == {'bos_token_id': 1, 'eos_token_id': eos, 'pad_token_id': 2}


def test_a_pad_token_of_its_own_is_kept(tiny_copy):
    edit_json(tiny_copy / 'tokenizer_config.json', pad_token='<unk>')
    assert special_ids(load_tokenizer(tiny_copy))['pad_token_id'] == 0


def test_the_tokenizer_decides_the_special_ids(load_tiny):
    assert json.loads((TINY / 'generation_config.json').read_text())['eos_token_id'] == 1  # it lies
    model, _ = load_tiny()
    for config in (model.config, model.generation_config):
        assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 2)


def test_generation_config_s_other_settings_are_kept(tiny_copy):
    edit_json(tiny_copy / 'generation_config.json', max_new_tokens=77, temperature=0.3, do_sample=True)
    model, _ = load(tiny_copy, device='cpu')
    assert (model.generation_config.max_new_tokens, model.generation_config.temperature) == (77, 0.3)
