"""The tokenizer is AutoTokenizer's, but for the spacing that training needs: over mixtures of published shapes."""

import pytest
from airoboros_gptq.model.tokenizer import load_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from support import VOCABULARY
from tokenizer_folders import IS_4, RANDOM, TEXTS, assert_like_auto, mixtures, write_folder
from transformers import AutoTokenizer


@RANDOM
@given(st.data())
def test_mixtures_of_tokenizer_json(tmp_path_factory, data):
    """LLaMA's classes are compared with one that takes tokenizer.json at its word: the spacing of training."""
    config, files = data.draw(mixtures('tokenizer.json'))
    folder = write_folder(tmp_path_factory.mktemp('a') / 'folder', 'tokenizer.json', config, files)
    auto = AutoTokenizer.from_pretrained(folder)
    plain = {**config, 'tokenizer_class': 'PreTrainedTokenizerFast'}
    like = write_folder(folder.parent / 'like', 'tokenizer.json', plain, files)
    if config['tokenizer_class'].startswith('Llama'):  # what the class says where the config is silent
        plain |= {k: str(getattr(auto, k)) for k in ('bos_token', 'eos_token', 'unk_token')}
        plain |= {k: config.get(k, k == 'add_bos_token') for k in ('add_bos_token', 'add_eos_token')}
        like = write_folder(folder.parent / 'like', 'tokenizer.json', plain, files)
    # transformers 4 rebuilds nothing.
    assert_like_auto(folder, None if IS_4 else like, [] if 'added_tokens.json' in files else TEXTS)
    if 'added_tokens.json' in files:  # AutoTokenizer finds these at the beginning of a text alone, or not at all
        start, end = VOCABULARY, VOCABULARY + 1
        ids = load_tokenizer(folder)('<|im_start|>user\nhi<|im_end|>\n<|im_start|>').input_ids
        assert [i for i in ids if i >= start] == [start, end, start] + [end] * (ids[-1] == end)


@RANDOM
@given(st.data())
@pytest.mark.parametrize('kind', ['bytes', 'vocab'])
def test_mixtures_of_byte_level(tmp_path_factory, kind, data):
    config, files = data.draw(mixtures(kind))
    assert_like_auto(write_folder(tmp_path_factory.mktemp('b') / 'folder', kind, config, files))


def test_no_class_and_no_invented_token(tmp_path):
    """A byte-level tokenizer whose config names neither class nor special tokens."""
    for config in ({}, None):
        folder = write_folder(tmp_path / 'a', 'bytes', config, {'config.json': {'model_type': 'llama'}})
        tokenizer = load_tokenizer(folder)
        assert tokenizer.decode(tokenizer('a b').input_ids) == 'a b'
        assert (tokenizer.bos_token, tokenizer.eos_token, len(tokenizer)) == (None, None, 295)


def test_a_special_token_that_does_not_say_its_type(tmp_path):
    config = {
        'tokenizer_class': 'LlamaTokenizerFast',
        'bos_token': {'content': '<s>'},
        'eos_token': {'content': '</s>'},
    }
    tokenizer = load_tokenizer(write_folder(tmp_path / 'a', 'tokenizer.json', config, {}))
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
