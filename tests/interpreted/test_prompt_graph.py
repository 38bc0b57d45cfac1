"""Short prompts through the kernels of a prompt graph, against transformers' own forward in fp32."""

import random

import pytest
import torch
from airoboros_gptq.generation.kv_cache import crop_to, make_cache
from airoboros_gptq.generation.runtime import attach
from architectures import FOLDERS, build

HALF = 5e-3  # fp16 between the kernels


def ids(count):
    return torch.randint(3, 250, (1, count), generator=torch.Generator().manual_seed(random.randrange(10**6)))


def distance(found, expected):
    assert found.shape == expected.shape
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


@pytest.fixture
def models(request):
    name = getattr(request, 'param', 'llama2-gqa')  # grouped heads with act-order
    model, right = build(FOLDERS / name, 'triton').half(), build(FOLDERS / name, 'reference')
    attach(model)
    return model, right


@pytest.mark.parametrize('models', ['llama2-gqa', 'qwen2', 'qwen3'], indirect=True)  # then biases, norms of heads
@torch.no_grad()
def test_prompts_of_several_turns(models):
    """A graph's cache is the one that decoding and longer prompts go on with."""
    caches = [make_cache(model) for model in models]
    ran = []
    prompts = models[0].gptq.fused_forward._prompts
    run, prompts.run = prompts.run, lambda *args: ran.append(args[0].shape[1]) or run(*args)
    for count in (5, 1, 66, 17):
        part = ids(count)
        found, expected = (m(part, past_key_values=c).logits for m, c in zip(models, caches, strict=True))
        assert distance(found, expected) < HALF
        assert caches[0].length == caches[1].length
    assert ran == [5, 17]
    for (keys, values), (right_keys, right_values) in zip(caches[0].buffers(), caches[1].buffers(), strict=True):
        length = caches[0].length
        assert distance(keys[:, :, :length], right_keys[:, :, :length]) < HALF
        assert distance(values[:, :, :length], right_values[:, :, :length]) < HALF


@torch.no_grad()
def test_the_padding_is_not_seen_and_not_kept(models):
    """After a turn that is cut back, a shorter one is answered as if the longer had never been."""
    model, right = models
    cache, other = make_cache(model), make_cache(right)
    start, longer, shorter = ids(6), ids(9), ids(3)
    for m, c in ((model, cache), (right, other)):
        m(start, past_key_values=c)
    model(longer, past_key_values=cache)
    crop_to(cache, 6)
    found = model(shorter, past_key_values=cache, logits_to_keep=1).logits
    assert distance(found, right(shorter, past_key_values=other, logits_to_keep=1).logits) < HALF


@torch.no_grad()
def test_a_graph_that_fails_leaves_the_prompt_to_the_joined_linears(models, monkeypatch, caplog):
    model, right = models
    monkeypatch.setattr(model.gptq.fused_forward._prompts, 'run', lambda *args: 1 / 0)
    part = ids(12)
    found = model(part, past_key_values=make_cache(model)).logits
    assert distance(found, right(part, past_key_values=make_cache(right)).logits) < HALF
    assert 'short prompts run without a CUDA graph' in caplog.text
