"""What `inspect` says of a folder that will not load although its weights are sound, and that loading says the same."""

import pytest
from airoboros_gptq.checkpoint import model_types, validation
from airoboros_gptq.checkpoint.hf_config import read_hf_config
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.model.tokenizer import load_tokenizer
from support import TINY, edit_json, run_python

TOKENIZER = ('tokenizer.json', 'tokenizer.model')


def check(folder, trust_remote_code=False):
    validation.check_loadable(folder, read_hf_config(folder), 100, trust_remote_code)


def sentence(folder):
    with pytest.raises(GPTQError) as e:
        check(folder)
    return str(e.value)


def drop_tokenizer(folder):
    for name in TOKENIZER:
        (folder / name).unlink(missing_ok=True)


def test_a_whole_folder_passes():
    check(TINY)


def test_without_config_json(tiny_copy):
    (tiny_copy / 'config.json').unlink()
    assert 'has no config.json' in sentence(tiny_copy)


@pytest.mark.parametrize('name', ['LlamaTokenizer', 'GPT2Tokenizer', None])
def test_without_tokenizer(tiny_copy, name):
    drop_tokenizer(tiny_copy)
    edit_json(tiny_copy / 'tokenizer_config.json', tokenizer_class=name)
    assert 'has no tokenizer' in sentence(tiny_copy)
    with pytest.raises(GPTQError, match='has no tokenizer'):
        load_tokenizer(tiny_copy)


def test_other_families_keep_their_words_elsewhere(tiny_copy):
    drop_tokenizer(tiny_copy)
    (tiny_copy / 'vocab.json').write_text('{}')
    assert 'has no tokenizer' in sentence(tiny_copy)  # a LLaMA tokenizer is not made of it
    edit_json(tiny_copy / 'tokenizer_config.json', tokenizer_class='GPT2Tokenizer')
    check(tiny_copy)


def test_a_type_that_transformers_does_not_have(tiny_copy):
    edit_json(tiny_copy / 'config.json', model_type='llama-of-tomorrow')
    assert 'of the type llama-of-tomorrow' in sentence(tiny_copy)
    edit_json(tiny_copy / 'config.json', model_type='vit')  # which writes no text
    assert 'of the type vit' in sentence(tiny_copy)
    edit_json(tiny_copy / 'config.json', auto_map={'AutoModelForCausalLM': 'x.Y'})  # it brings its own code
    assert 'load with trust_remote_code=True' in sentence(tiny_copy)
    check(tiny_copy, trust_remote_code=True)


def test_the_types_are_those_that_transformers_has():
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert model_types.known_model_types() == set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def test_the_types_are_read_without_importing_it():
    program = (
        'import sys; from airoboros_gptq.checkpoint.model_types import known_model_types as k; '
        'print("llama" in k(), [m for m in ("torch", "transformers") if m in sys.modules])'
    )
    assert run_python('-c', program)[:2] == (0, 'True []\n')


def test_without_transformers_nothing_is_said(tiny_copy, monkeypatch):
    edit_json(tiny_copy / 'config.json', model_type='llama-of-tomorrow')
    monkeypatch.setattr(model_types, '_auto_source', lambda: '')
    model_types.known_model_types.cache_clear()
    check(tiny_copy)
    model_types.known_model_types.cache_clear()


@pytest.mark.parametrize(
    ('installed', 'kind', 'saved', 'who'),
    [
        (
            '4.57.6',
            'of_the_future',
            '5.6.0',
            'transformers 5.6.0, with which it was saved, may have it, or a newer one.',
        ),
        (
            '4.57.6',
            'qwen3_5_moe',
            '4.57.0.dev0',
            'transformers 5.2.0 is the first that has it (a newer webui brings it).',
        ),
        ('4.57.6', 'minimax_m2', '5.6.0', 'transformers 5.0.0 is the first that has it (a newer webui brings it).'),
        ('5.3.0', 'gemma4', None, 'transformers 5.5.0 is the first that has it (a newer webui brings it).'),
        ('5.6.2', 'qwen3_5', '5.6.0', 'a transformers newer than 5.6.2 may have it.'),
        ('4.57.6', 'of_the_future', '4.57.0.dev0', 'a transformers newer than 4.57.6 may have it.'),
        ('4.57.6', 'of_the_future', None, 'a transformers newer than 4.57.6 may have it.'),
        ('4.57.6', 'of_the_future', '<b>' * 9, 'a transformers newer than 4.57.6 may have it.'),
        ('4.57.6', 'of_the_future', 5, 'a transformers newer than 4.57.6 may have it.'),
        ('', 'of_the_future', None, 'a newer transformers may have it.'),
    ],
)
def test_a_type_that_transformers_lacks_names_the_version_that_has_it(
    tmp_path, monkeypatch, installed, kind, saved, who
):
    monkeypatch.setattr(model_types, '_installed_version', lambda: installed)
    monkeypatch.setattr(validation, 'known_model_types', lambda mapping='CAUSAL_LM': frozenset({'llama'}))
    with pytest.raises(GPTQError) as e:
        validation.check_model_type(tmp_path, {'model_type': kind, 'transformers_version': saved})
    assert str(e.value).endswith(f'it has no language model of the type {kind}; {who}')


def test_the_installed_transformers_has_the_types_that_the_table_says_it_has():
    import transformers

    installed = [int(n) for n in transformers.__version__.split('.')[:3]]
    known = model_types.known_model_types() | model_types.known_model_types('IMAGE_TEXT_TO_TEXT')
    had = {k for k, first in model_types.FIRST_RELEASE.items() if [int(n) for n in first.split('.')] <= installed}
    assert had <= known
    assert not (model_types.FIRST_RELEASE.keys() - had) & known
