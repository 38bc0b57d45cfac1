"""What a loaded model gets on top of transformers, and that it stays an ordinary model."""

import copy
import gc
import weakref

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.generation.runtime import transformers_class
from support import TINY
from transformers import GenerationMixin, LlamaForCausalLM

SETTINGS = {'do_sample': False, 'max_new_tokens': 5, 'eos_token_id': None}


@pytest.fixture
def model():
    return load(TINY, device='cpu', kernel='reference')[0]


@pytest.fixture
def ids():
    return torch.randint(3, 1000, (1, 12))


def test_a_bound_generate_keeps_its_model_alive(ids):
    generate = load(TINY, device='cpu', kernel='reference')[0].generate
    gc.collect()
    assert generate(ids, **SETTINGS).shape == (1, 17)


def test_nothing_but_its_owner_holds_a_model(ids):
    for answers in (False, True):
        model = load(TINY, device='cpu', kernel='reference')[0]
        if answers:
            model.generate(ids, **SETTINGS)
        weight = weakref.ref(model.model.embed_tokens.weight)
        gc.collect()
        gc.disable()
        try:
            del model
            assert weight() is None
        finally:
            gc.enable()


def test_it_is_still_a_model_of_transformers(model):
    assert isinstance(model, LlamaForCausalLM) and transformers_class(model) is LlamaForCausalLM
    assert (type(model).__name__, type(model).__module__) == ('LlamaForCausalLM', LlamaForCausalLM.__module__)
    assert model.config.architectures == ['LlamaForCausalLM']


def test_a_copy_answers_and_has_a_runtime_of_its_own(model, ids):
    expected = GenerationMixin.generate(model, ids, **SETTINGS)
    model.generate(ids, **SETTINGS)
    twin = copy.deepcopy(model)
    assert twin.gptq is not model.gptq and len(twin.gptq.prompt_cache) == 0
    assert twin.generate(ids, **SETTINGS).equal(expected)
    assert len(model.gptq.prompt_cache) == len(twin.gptq.prompt_cache) == 1
    assert twin.gptq.description == model.gptq.description == 'reference on cpu, float32'


def test_a_freed_model_is_said(model):
    runtime = load(TINY, device='cpu', kernel='reference')[0].gptq
    with pytest.raises(ReferenceError, match='was freed'):
        _ = runtime.description


def test_a_generation_ends_at_the_token_at_which_its_condition_is_met(model, ids):
    asked = []
    model.gptq.should_stop = lambda: asked.append(1) or len(asked) == 3
    assert model.generate(ids, **{**SETTINGS, 'max_new_tokens': 50}).shape == (1, 15)
    model.gptq.should_stop = None
    assert model.generate(ids, **SETTINGS).shape == (1, 17)
