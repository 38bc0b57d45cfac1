"""Folders with a tokenizer in any mixture that people publish, and the comparison with AutoTokenizer's."""

import json
import shutil
from functools import lru_cache

from airoboros_gptq.model.tokenizer import load_tokenizer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from support import TINY, VOCABULARY
from transformers import AutoTokenizer
from transformers import __version__ as transformers_version

TEMPLATE = '{% for m in messages %}<|{{m.role}}|>{{m.content}}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}'
TEXTS = [
    'Hello </s> USER: a  b',
    '<|im_start|>user\nhi<|im_end|>',
    ' leading <s>x<unk>\ttab',
    'plain',
    'é日本 <|endoftext|>A<pad>b',
    '',
]
IS_4 = transformers_version.startswith('4.')
FLAGS = {'lstrip': False, 'rstrip': False, 'normalized': False, 'single_word': False}
SPECIAL = ('bos_token', 'eos_token', 'unk_token', 'pad_token')


@lru_cache
def byte_level():
    """A byte-level BPE as (tokenizer.json, vocab.json, merges.txt)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=['<|endoftext|>', '<|begin|>'], initial_alphabet=alphabet
    )
    t.train_from_iterator(['hello world USER: ASSISTANT: the quick brown fox'] * 3, trainer)
    whole = json.loads(t.to_str())
    merges = ['#version: 0.2', *(m if isinstance(m, str) else ' '.join(m) for m in whole['model']['merges'])]
    return t.to_str(), json.dumps(t.get_vocab()), '\n'.join(merges) + '\n'


def write_folder(folder, kind, config, files):
    """A tokenizer's folder: its vocabulary by `kind`, tokenizer_config.json, and other files by name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if kind == 'bytes':
        (folder / 'tokenizer.json').write_text(byte_level()[0])
    elif kind == 'vocab':
        (folder / 'vocab.json').write_text(byte_level()[1])
        (folder / 'merges.txt').write_text(byte_level()[2])
    else:
        shutil.copyfile(TINY / kind, folder / kind)
    if config is not None:
        (folder / 'tokenizer_config.json').write_text(json.dumps(config))
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def tokens_of(tokenizer):
    """Special tokens with their ids, and all added tokens."""
    named = {name: (str(getattr(tokenizer, name)), getattr(tokenizer, f'{name}_id')) for name in SPECIAL}
    added = {i: (t.content, t.special) for i, t in tokenizer.added_tokens_decoder.items()}
    return named, added, set(tokenizer.all_special_ids), len(tokenizer)


def chat(tokenizer, name=None):
    messages = [{'role': 'user', 'content': 'hi'}]
    return tokenizer.apply_chat_template(messages, chat_template=name, tokenize=False, add_generation_prompt=True)


def assert_like_auto(folder, like=None, texts=TEXTS):
    """Ids are compared with those of `like`, a folder with the same tokenizer of a class that rebuilds nothing."""
    tokenizer, auto = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    exact = AutoTokenizer.from_pretrained(like) if like else auto
    assert tokenizer.chat_template == auto.chat_template
    if auto.chat_template:
        assert chat(tokenizer) == chat(auto)
    named, added, special, length = tokens_of(tokenizer)
    assert (named, length) == (tokens_of(auto)[0], tokens_of(exact)[3])
    # transformers 5 forgets the added tokens of a tokenizer.json whose config lists others.
    assert added.items() >= tokens_of(auto)[1].items() and added == tokens_of(exact)[1]
    # transformers 5 lists </s> of tokenizer.model as special where another token is the end.
    free = {2} if (folder / 'tokenizer.model').is_file() else set()
    assert special | free == tokens_of(auto)[2] | free
    for text in texts:
        ids = tokenizer(text).input_ids
        assert ids == exact(text).input_ids, text
        for skip in (False, True):
            assert tokenizer.decode(ids, skip_special_tokens=skip) == exact.decode(ids, skip_special_tokens=skip)
    assert (tokenizer.padding_side, tokenizer.model_max_length) == (auto.padding_side, auto.model_max_length)
    assert tokenizer.model_input_names == auto.model_input_names
    assert str(tokenizer.name_or_path) == str(folder)


def added_token(content, special, **flags):
    return {'content': content, 'special': special, **FLAGS, **flags}


@st.composite
def mixtures(draw, kind):
    """tokenizer_config.json and the other files of a folder, in any mixture that people publish."""
    spm = kind.startswith('tokenizer.')
    size, bos, eos = (VOCABULARY, '<s>', '</s>') if spm else (295, '<|begin|>', '<|endoftext|>')
    config, files = {}, {}
    classes = {'tokenizer.json': ['LlamaTokenizer', 'LlamaTokenizerFast', 'PreTrainedTokenizerFast']}
    classes |= {'tokenizer.model': ['LlamaTokenizer', 'LlamaTokenizerFast'], 'bytes': ['PreTrainedTokenizerFast', None]}
    classes |= {'vocab': ['GPT2Tokenizer', 'Qwen2Tokenizer', 'Qwen2TokenizerFast']}
    name = draw(st.sampled_from(classes[kind]))
    config['tokenizer_class'] = name
    files['config.json'] = {
        'model_type': 'qwen2' if (name or '').startswith('Qwen') else 'gpt2' if not spm else 'llama'
    }
    ends = [eos]
    im = {size: '<|im_start|>', size + 1: '<|im_end|>'}
    added = draw(st.sampled_from(['none', 'json', 'decoder']))
    special = draw(st.booleans())
    if added != 'none':
        ends.append('<|im_end|>')
    if added == 'json':
        files['added_tokens.json'] = {token: i for i, token in im.items()}
    if added == 'decoder':
        base = {0: '<unk>', 1: '<s>', 2: '</s>'} if spm else {0: '<|endoftext|>', 1: '<|begin|>'}
        config['added_tokens_decoder'] = {str(i): added_token(t, True) for i, t in base.items()}
        config['added_tokens_decoder'] |= {str(i): added_token(t, special) for i, t in im.items()}
    tokens = {'bos_token': bos, 'eos_token': draw(st.sampled_from(ends)), 'unk_token': '<unk>' if spm else eos}
    tokens['pad_token'] = draw(st.sampled_from([None, eos, *ends]))
    where = draw(st.sampled_from(['strings', 'objects', 'map', 'both']))
    if where in ('strings', 'both'):
        config |= tokens
    if where == 'objects':
        config |= {k: v and {'__type': 'AddedToken', 'content': v, **FLAGS} for k, v in tokens.items()}
    if where in ('map', 'both'):
        files['special_tokens_map.json'] = {k: {'content': v, **FLAGS} for k, v in tokens.items() if v}
    match draw(st.sampled_from(['none', 'config', 'list', 'jinja', 'more'])):
        case 'config':
            config['chat_template'] = TEMPLATE
        case 'list':
            config['chat_template'] = [
                {'name': 'default', 'template': TEMPLATE},
                {'name': 'tool_use', 'template': 'x' + TEMPLATE},
            ]
        case 'jinja':
            files['chat_template.jinja'] = TEMPLATE + '!'
        case 'more':
            files['chat_template.jinja'] = TEMPLATE + '!'
            files['additional_chat_templates/tool_use.jinja'] = 'x' + TEMPLATE
    for key, values in {
        'add_bos_token': [True, False],
        'add_eos_token': [True, False],
        'model_max_length': [2048, 1000000000000000019884624838656],
        'legacy': [True, False],
        'clean_up_tokenization_spaces': [False],
        'padding_side': ['left', 'right'],
    }.items():
        value = draw(st.sampled_from([None, *values]))
        if value is not None:
            config[key] = value
    if config['tokenizer_class'] is None:
        del config['tokenizer_class']
    return config, files


RANDOM = settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate]
)
