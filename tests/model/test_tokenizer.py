"""Token ids as in training, by either route, and decoding that leaves indentation alone."""

import json
import random
import types

import pytest
from airoboros_gptq.airoboros.conversation import render
from airoboros_gptq.airoboros.plainformat import add_plainformat
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.generation.detokenizer import keep_leading_space
from airoboros_gptq.model.sentencepiece_model import convert_sentencepiece
from airoboros_gptq.model.tokenizer import load_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from support import TINY, corpus, edit_json, exam

SPECIAL = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
CODE = 'class Snake:\n    def move(self):\n        if self.body:\n            return 1\n\n    x = 2\n\ttab\n'


def random_texts(count, seed=1):
    """Words, runs of spaces, tabs, newlines, emoji, letters of every plane, in any mixture."""
    rng = random.Random(seed)
    pieces = [
        'the',
        'USER:',
        'ASSISTANT:',
        ' ',
        '  ',
        '       ',
        '\t',
        '\n',
        '\n\n',
        '    ',
        '😀',
        '👩‍👩‍👧',
        'é',
        'e\u0301',
    ]
    pieces += [
        '日本語',
        'ß',
        '\u2581',
        '\u00a0',
        '\u200b',
        '12345',
        '<s',
        's>',
        '_',
        '{',
        '}',
        '"',
        '\\',
        '\r\n',
        'ﬁ',
        '\U0001f1e9',
    ]
    for _ in range(count):
        pieces[4] = ' ' * rng.randint(1, 40)
        part = [
            rng.choice(pieces)
            if rng.random() < 0.8
            else chr(rng.choice((rng.randint(1, 0xD7FF), rng.randint(0xE000, 0x10FFFF))))
            for _ in range(rng.randint(0, 14))
        ]
        yield ''.join(part)


def assert_same_ids(tokenizer, sp, texts):
    for text in texts:
        assert tokenizer.encode(text, add_special_tokens=False).ids == sp.encode(text), repr(text)


@pytest.fixture(scope='module')
def sp():
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(TINY / 'tokenizer.model'))


@pytest.fixture(scope='module')
def tokenizer():
    return load_tokenizer(TINY)


@pytest.fixture
def from_model(tiny_copy):
    (tiny_copy / 'tokenizer.json').unlink()
    return load_tokenizer(tiny_copy)


def test_conversion_is_sentencepiece(sp):
    assert_same_ids(convert_sentencepiece(TINY / 'tokenizer.model', SPECIAL), sp, random_texts(4000))


def test_conversion_of_the_real_one_is_sentencepiece(llama_tokenizer_model):
    import sentencepiece

    real = sentencepiece.SentencePieceProcessor(model_file=str(llama_tokenizer_model))
    assert_same_ids(convert_sentencepiece(llama_tokenizer_model, SPECIAL), real, random_texts(4000, seed=2))


def test_plainformat_s_two_spaces_are_two_tokens(llama_tokenizer_model, tmp_path):
    """LLaMA scores a run of spaces last, so the second space belongs to the word: as training saw it."""
    (tmp_path / 'tokenizer.model').write_bytes(llama_tokenizer_model.read_bytes())
    ids = load_tokenizer(tmp_path)(add_plainformat('Implement the Snake game in python.'), add_special_tokens=False)
    assert ids.input_ids[-7:] == [29889, 29871, 349, 4375, 1177, 19094, 1299]


def test_use_fast_false_changes_no_ids(tokenizer):
    """The webui has a switch for it."""
    slow = load_tokenizer(TINY, use_fast=False)
    for turns in exam(20):
        assert slow(corpus().prompt(turns)).input_ids == tokenizer(corpus().prompt(turns)).input_ids


def test_both_routes_agree(tokenizer, from_model):
    texts = [*random_texts(1000, seed=3), *(render(turns) for turns in exam(50))]
    for text in texts:
        assert tokenizer(text).input_ids == from_model(text).input_ids, repr(text)
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids) == from_model.decode(ids)
    for name in ('bos_token_id', 'eos_token_id', 'unk_token_id', 'pad_token_id', 'model_max_length', 'padding_side'):
        assert getattr(tokenizer, name) == getattr(from_model, name), name


def test_both_routes_give_the_training_ids(tokenizer, from_model, sp):
    """Source and target tokenised apart; `</s>` one token; the dummy prefix in front of every stretch."""
    for turns in exam(50):
        ids = [1]
        for i, part in enumerate(corpus().prompt(turns).split('</s>')):
            ids += [2] * bool(i) + sp.encode(part)
        prompt = render([*turns[:-1], (turns[-1][0], None)])
        assert tokenizer(prompt).input_ids == ids
        assert from_model(prompt).input_ids == ids


def test_the_real_ids_of_the_seam(llama_tokenizer_model, tmp_path):
    (tmp_path / 'tokenizer.model').write_bytes(llama_tokenizer_model.read_bytes())
    llama = load_tokenizer(tmp_path)

    ids = llama(render([('Hi', None)])).input_ids
    assert ids[0] == 1 and ids[-6:] == [319, 1799, 9047, 13566, 29901, 29871]
    second = llama(render([('Hi', 'Hello'), ('You', None)])).input_ids
    seam = second.index(2)
    assert second[seam : seam + 5] == [2, 3148, 1001, 29901, 887]
    assert llama('Hello', add_special_tokens=False).input_ids == [15043]
    # Newline-joined turns are other tokens, which training never saw.
    assert llama('a\nUSER: Hi\nASSISTANT:', add_special_tokens=False).input_ids == [
        *(263, 13, 11889, 29901, 6324, 13, 22933, 9047, 13566, 29901)
    ]
    assert (llama.bos_token_id, llama.eos_token_id, llama.unk_token_id) == (1, 2, 0)


@pytest.mark.parametrize('route', ['tokenizer.json', 'tokenizer.model'])
def test_piecewise_decoding_keeps_indentation(route, tiny_copy):
    if route == 'tokenizer.model':
        (tiny_copy / 'tokenizer.json').unlink()
    tokenizer = load_tokenizer(tiny_copy)
    kept = keep_leading_space(tokenizer)
    ids = tokenizer(CODE, add_special_tokens=False).input_ids
    lines, line = [], []
    for i in ids:
        line.append(i)
        if kept.decode(line).endswith('\n'):
            lines, line = [*lines, kept.decode(line)], []
    assert ''.join(lines) + kept.decode(line) == ' ' + CODE  # the dummy prefix in front of all
    assert '\n    def' in ''.join(lines)
    assert tokenizer.decode(ids) == CODE  # the one that is handed out stays as it was


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=('Cs',), exclude_characters='\u2581\0'), min_size=1),
    cut=st.floats(0, 1),
)
def test_decode_is_the_inverse(tokenizer, text, cut):
    ids = tokenizer(text, add_special_tokens=False).input_ids
    if '<s>' not in text and '</s>' not in text and '<unk>' not in text:
        assert tokenizer.decode(ids) == text
        assert keep_leading_space(tokenizer).decode(ids) == ' ' + text


def test_keep_leading_space_leaves_others_alone():
    other = types.SimpleNamespace()
    assert keep_leading_space(other) is other


def test_special_tokens_typed_by_a_user_are_what_they_say(tokenizer):
    assert tokenizer('a</s>').input_ids[-1] == 2


def test_a_chat_template_is_kept(tiny_copy):
    edit_json(tiny_copy / 'tokenizer_config.json', chat_template='{{ messages[0].content }}!')
    tokenizer = load_tokenizer(tiny_copy)
    assert tokenizer.apply_chat_template([{'role': 'user', 'content': 'Hi'}], tokenize=False) == 'Hi!'


def test_without_tokenizer_config(tiny_copy, tokenizer):
    (tiny_copy / 'tokenizer_config.json').unlink()
    (tiny_copy / 'special_tokens_map.json').unlink()
    assert load_tokenizer(tiny_copy)('Hi</s>USER').input_ids == tokenizer('Hi</s>USER').input_ids


def sentence_of(folder):
    with pytest.raises(GPTQError) as e:
        load_tokenizer(folder)
    assert '\n' not in str(e.value) and str(folder) in str(e.value)
    return str(e.value)


def test_no_tokenizer_is_one_sentence(tmp_path, tiny_copy):
    assert 'no tokenizer (tokenizer.json or tokenizer.model); download it' in sentence_of(tmp_path)
    # As left by a download of the weights and the small files alone.
    (tiny_copy / 'tokenizer.json').unlink()
    (tiny_copy / 'tokenizer.model').unlink()
    assert 'no tokenizer' in sentence_of(tiny_copy)


def test_broken_tokenizer_files_are_one_sentence(tiny_copy):
    (tiny_copy / 'tokenizer.json').write_text('{"version": ')
    assert 'download its files again' in sentence_of(tiny_copy)
    (tiny_copy / 'tokenizer.json').unlink()
    (tiny_copy / 'tokenizer.model').write_text('version https://git-lfs.github.com/spec/v1')
    assert 'tokenizer.model is not a SentencePiece model; download it again' in sentence_of(tiny_copy)


def test_an_unknown_token_that_the_vocabulary_lacks_is_one_sentence(tiny_copy):
    """transformers looks for its id without end."""
    (tiny_copy / 'special_tokens_map.json').write_text('{"unk_token": {"lstrip": false}}')
    assert 'download its files again' in sentence_of(tiny_copy)


def test_the_decoder_of_the_checked_in_json_is_llama_s():
    """keep_leading_space knows it by this shape; another shape would silently lose indentation while streaming."""
    decoder = json.loads((TINY / 'tokenizer.json').read_text(encoding='utf-8'))['decoder']
    assert [d['type'] for d in decoder['decoders']] == ['Replace', 'ByteFallback', 'Fuse', 'Strip']
