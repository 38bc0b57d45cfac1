"""tokenizer.model without protobuf: added tokens at their ids, and what AutoTokenizer gives with protobuf."""

import pytest
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.model.tokenizer import load_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from support import VOCABULARY
from tokenizer_folders import IS_4, RANDOM, TEXTS, added_token, assert_like_auto, mixtures, write_folder


@RANDOM
@given(st.data())
def test_mixtures_of_tokenizer_model(tmp_path_factory, data):
    """AutoTokenizer converts tokenizer.model through protobuf. transformers 5 has other defaults than 4, and than LLaMA."""
    pytest.importorskip('google.protobuf', reason='protobuf is not installed')
    config, files = data.draw(mixtures('tokenizer.model'))
    folder = write_folder(tmp_path_factory.mktemp('c') / 'folder', 'tokenizer.model', config, files)
    said = {'add_bos_token': True, 'legacy': True, **config}
    like = write_folder(folder.parent / 'like', 'tokenizer.model', said, files)
    # transformers 5 gives a text after a special token one space where training had two.
    exact = not said['legacy'] or (IS_4 and 'added_tokens.json' not in files)
    assert_like_auto(folder, like, TEXTS if exact else ())


@pytest.mark.parametrize('decoder', [False, True])
def test_chat_tokens_beside_tokenizer_model(tmp_path, decoder):
    """Fine-tunes of LLaMA and Mistral with ChatML; the ids are AutoTokenizer's, with protobuf."""
    config, files = (
        {'tokenizer_class': 'LlamaTokenizer', 'eos_token': '<|im_end|>'},
        {'config.json': {'model_type': 'llama'}},
    )
    start, end = VOCABULARY, VOCABULARY + 1
    im = {start: '<|im_start|>', end: '<|im_end|>'}
    if decoder:
        base = {0: '<unk>', 1: '<s>', 2: '</s>'}
        config |= {
            'legacy': False,
            'added_tokens_decoder': {str(i): added_token(t, True) for i, t in (base | im).items()},
        }
    else:
        files['added_tokens.json'] = {token: i for i, token in im.items()}
    tokenizer = load_tokenizer(write_folder(tmp_path / 'a', 'tokenizer.model', config, files))
    assert tokenizer('<|im_start|>user\nhi<|im_end|>').input_ids == [1, start, 267, 273, 13, 940, end]  # us er \n hi
    assert tokenizer('<|im_end|>\n<|im_start|>').input_ids == [1, end, 13, start]
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ('<|im_end|>', end)


def test_added_ids_with_a_gap_and_in_place_of_a_piece(tmp_path):
    files = {'config.json': {'model_type': 'llama'}, 'added_tokens.json': {'<|a|>': VOCABULARY + 6, '<|b|>': 900}}
    tokenizer = load_tokenizer(write_folder(tmp_path / 'a', 'tokenizer.model', {'legacy': False}, files))
    assert tokenizer('<|a|><|b|>').input_ids == [1, VOCABULARY + 6, 900]
    assert len(tokenizer) == VOCABULARY + 7


def test_an_added_id_out_of_all_reason_is_one_sentence(tmp_path):
    files = {'added_tokens.json': {'<|a|>': 10**12}}
    with pytest.raises(GPTQError, match=f'far from the {VOCABULARY} tokens'):
        load_tokenizer(write_folder(tmp_path / 'a', 'tokenizer.model', {}, files))
