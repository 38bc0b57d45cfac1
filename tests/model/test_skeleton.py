"""The empty model: the dtype and the attention that were asked for, and no weights."""

import logging

import pytest
import torch
import transformers
from airoboros_gptq import GPTQError
from airoboros_gptq.model.load_plan import make_plan
from airoboros_gptq.model.skeleton import make_skeleton
from airoboros_gptq.preflight.folder_summary import read_summary
from architectures import FOLDERS, build, in_this_transformers
from support import TINY, edit_json


def skeleton(folder, **settings):
    return make_skeleton(make_plan(read_summary(folder), 'cpu', torch.float16, **settings))


def test_parameters_are_empty_and_buffers_are_not():
    model = skeleton(TINY)
    assert type(model).__name__ == 'LlamaForCausalLM'
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {('meta', torch.float16)}
    assert not any(b.is_meta for b in model.buffers())
    assert not hasattr(model.config, 'quantization_config')


def test_quantisation_settings_are_not_for_transformers(tiny_copy):
    """It would ask for optimum."""
    edit_json(tiny_copy / 'config.json', quantization_config={'quant_method': 'gptq', 'bits': 4})
    assert not hasattr(skeleton(tiny_copy).config, 'quantization_config')


def test_attention_is_the_one_that_was_asked_for():
    assert skeleton(TINY, attn_implementation='eager').config._attn_implementation == 'eager'
    assert skeleton(TINY).config._attn_implementation == 'sdpa'


@pytest.mark.parametrize('name', [in_this_transformers('gemma2')])
@pytest.mark.parametrize('attention', [None, 'sdpa'])
def test_sdpa_is_no_choice_where_logits_are_capped(name, attention, caplog):
    with caplog.at_level(logging.INFO, 'airoboros_gptq'):
        plan = make_plan(read_summary(FOLDERS / name, 'model'), 'cpu', torch.float16, attn_implementation=attention)
        assert make_skeleton(plan).config._attn_implementation == 'eager'
    assert 'gemma2: attention runs as eager, because sdpa cannot cap its logits' in caplog.text


@pytest.mark.skipif(transformers.__version__ < '5', reason='before transformers 5 only running it tells')
def test_an_attention_that_transformers_lacks_is_told_in_a_sentence():
    with pytest.raises(GPTQError, match=r"cannot build with attn_implementation='flashy'"):
        build(FOLDERS / 'llama', attention='flashy')


def test_memory_that_runs_out_is_no_fault_of_the_folder(monkeypatch):
    def refuse(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(transformers.AutoModelForCausalLM, 'from_config', refuse)
    with pytest.raises(MemoryError):
        skeleton(TINY)
