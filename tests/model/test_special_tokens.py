"""Which ids begin, end and pad a text: the tokenizer's, and the special ones that a config claims as further ends."""

import json

import pytest
from airoboros_gptq import load
from airoboros_gptq.model.special_tokens import special_ids
from airoboros_gptq.model.tokenizer import load_tokenizer
from support import TINY, VOCABULARY, edit_json


@pytest.fixture(scope='module')
def tokenizer():
    return load_tokenizer(TINY)


@pytest.mark.parametrize(
    ('claimed', 'eos'),
    [
        *[(None, 2), (1, 2), (2, 2), ('x', 2), (0, 2), ([1], 2), ([[5]], 2), (True, 2)],
        *[(5, [2, 5]), ([2, 7], [2, 7]), ([1, 7], [2, 7]), ([7, 2, 7], [2, 7])],
        *[(300, 2), (10**30, 2), (-1, 2), ([300, 7], [2, 7])],  # 300 is a word, 5 and 7 are written <0x..>
    ],
)
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


@pytest.mark.parametrize('special', [True, False])
def test_a_chat_model_s_end_is_added_to_the_base_model_s(tiny_copy, special):
    """Yi-34B-Chat: the tokenizer ends with <|endoftext|>, generation_config.json with <|im_end|>, which the model says."""
    added = {
        'content': '<|im_end|>',
        'special': special,
        **dict.fromkeys(('lstrip', 'rstrip', 'normalized', 'single_word'), False),
    }
    edit_json(tiny_copy / 'tokenizer_config.json', added_tokens_decoder={str(VOCABULARY): added})
    tokenizer = load_tokenizer(tiny_copy)
    assert special_ids(tokenizer, VOCABULARY)['eos_token_id'] == [2, VOCABULARY]


@pytest.mark.parametrize(
    ('generation', 'config', 'expected'),
    [
        (None, [2, 5, 6], [2, 5, 6]),
        ({'eos_token_id': 5}, [2, 5, 6], [2, 5]),
        ({'bos_token_id': 1}, [6], [2, 6]),
        ({'eos_token_id': [5, 6]}, 2, [2, 5, 6]),
        (None, 1, 2),
    ],
)
def test_ends_of_generation_config_else_of_config(tiny_copy, generation, config, expected):
    edit_json(tiny_copy / 'config.json', eos_token_id=config)
    (tiny_copy / 'generation_config.json').unlink()
    if generation:
        (tiny_copy / 'generation_config.json').write_text(json.dumps(generation))
    model, _ = load(tiny_copy, device='cpu', kernel='reference')
    assert model.generation_config.eos_token_id == model.config.eos_token_id == expected


def test_a_refused_end_is_said(tiny_copy, caplog):
    with caplog.at_level('INFO', 'airoboros_gptq'):
        load(tiny_copy, device='cpu', kernel='reference')
    assert (
        'generation_config.json claims the end 1, which is no special token, or bos, unk or pad; 2 is used'
        in caplog.text
    )
