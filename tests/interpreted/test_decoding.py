"""A decoding step of fused kernels, and a prompt through joint linears, against transformers' own forward."""

import gc
import logging
import random
import weakref

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.generation import kv_cache
from airoboros_gptq.generation.fused_decode import graph
from airoboros_gptq.generation.fused_decode.fused_linear import CannotFuse
from airoboros_gptq.generation.fused_decode.plan import make_decode_plan
from airoboros_gptq.generation.kv_cache import crop_to, make_cache
from airoboros_gptq.generation.runtime import attach
from architectures import FOLDERS, build
from support import PLAIN, TINY

TIGHT = 5e-4  # fp32 throughout; the order of sums differs, and attention's parts


def pair(name='qwen2'):
    """The same model on Triton's kernels and on the reference's, in fp32."""
    model, right = (build(FOLDERS / name, kernel) for kernel in ('triton', 'reference'))
    attach(model)
    return model, right


def ids(count, vocabulary=256):
    return torch.randint(3, vocabulary, (1, count), generator=torch.Generator().manual_seed(random.randrange(10**6)))


def deviation(found, right):
    assert found.shape == right.shape
    return ((found - right).norm() / right.norm()).item()


class Both:
    """Two models that are asked the same, each on a cache of its own."""

    def __init__(self, model, right):
        self.models = (model, right)
        self.caches = (make_cache(model), make_cache(right))
        self.fused = []  # rows that did not go through transformers' forward
        fused = model.gptq.fused_forward
        for owner, name in ((fused, '_prefill'), (fused.graph, 'run')):
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, original):
        def counted(*args):
            self.fused.append(original.__name__)
            return original(*args)

        counted.__name__ = original.__name__
        return counted

    @torch.no_grad()
    def check(self, part, fused=True, **settings):
        self.fused.clear()
        found, right = (
            m(part, past_key_values=cache, **settings).logits for m, cache in zip(self.models, self.caches, strict=True)
        )
        assert deviation(found, right) < TIGHT
        assert len(set(self.fused)) == fused
        assert self.caches[0].length == self.caches[1].length

    def crop(self, length):
        for cache in self.caches:
            crop_to(cache, length)


@pytest.mark.parametrize('name', ['llama', 'llama2-gqa', 'qwen2', 'qwen3'])  # act-order twice, biases, norms of heads
def test_prompts_and_tokens(name):
    model, right = pair(name)
    assert model.gptq.fused_forward is not None
    both = Both(model, right)
    both.check(ids(20))
    both.check(ids(1))
    both.check(ids(15))  # a second turn
    both.check(ids(1))


def test_several_conversations():
    model, right = pair('llama2-gqa')
    one, other = Both(model, right), Both(model, right)
    one.check(ids(10))
    other.check(ids(70), logits_to_keep=1)
    for both in (other, other, one, other):
        both.check(ids(1))
    other.crop(40)  # regenerated
    other.check(ids(1))
    one.check(ids(2), fused=False)  # few rows go through transformers' own forward
    one.check(ids(1))
    other.check(ids(87))  # as long as the model's context
    other.check(ids(1), fused=False)  # and longer


def test_a_cache_grows_under_the_step(monkeypatch):
    monkeypatch.setattr(kv_cache, 'CHUNK', 64)
    monkeypatch.setattr(graph, 'SPLITS', 2)  # parts of more than one block, as a long cache has
    both = Both(*pair())
    both.check(ids(20))
    room = both.caches[0].buffers()[0][0].shape[2]
    both.check(ids(room - 21))
    for _ in range(3):
        both.check(ids(1))
    assert both.caches[0].buffers()[0][0].shape[2] > room


def test_a_cache_that_was_dropped_is_not_kept_alive():
    model, _ = pair()
    with torch.no_grad():
        cache = make_cache(model)
        model(ids(10), past_key_values=cache)
        model(ids(1), past_key_values=cache)
        keys = weakref.ref(cache.buffers()[0][0])
        del cache
        model(ids(10), past_key_values=make_cache(model))
    assert keys() is None


def test_a_model_let_go_is_freed_with_its_fused_step():
    model, _ = pair()
    assert model.gptq.fused_forward is not None
    held = [weakref.ref(model), weakref.ref(model.model.embed_tokens.weight)]
    gc.collect()
    gc.disable()
    try:
        del model
        assert [ref() for ref in held] == [None, None]  # at once: nothing waits for the garbage collector
    finally:
        gc.enable()


def test_a_hook_on_a_whole_layer_is_not_skipped():
    model, right = pair()
    both = Both(model, right)
    both.check(ids(20))
    calls = []
    for place in ('model', 'model.layers.1', 'model.layers.1.self_attn'):
        handle = model.get_submodule(place).register_forward_hook(lambda *args, place=place: calls.append(place))
        both.crop(10)
        both.check(ids(1), fused=False)
        handle.remove()
    assert calls == ['model', 'model.layers.1', 'model.layers.1.self_attn']
    both.check(ids(1))


def test_a_wrapped_decoder_layer_is_not_skipped():
    """Control vectors are added so."""
    model, _ = pair()
    assert model.gptq.fused_forward.is_intact()
    model.model.layers[1] = torch.nn.Sequential(model.model.layers[1])
    assert not model.gptq.fused_forward.is_intact()


def reason(model):
    with pytest.raises(CannotFuse) as e:
        make_decode_plan(model)
    return str(e.value)


def test_a_window_of_attention_is_kept():
    model, right = pair('mistral')
    window = model.gptq.fused_forward.plan.layers[0].window
    assert window == 8
    both = Both(model, right)
    both.check(ids(window + 4), fused=False)
    for _ in range(3):
        both.check(ids(1))


def test_generate_says_what_the_reference_says():
    model, right = pair()
    prompt = ids(40)
    settings = {'attention_mask': torch.ones_like(prompt), 'max_new_tokens': 3, 'do_sample': False, 'pad_token_id': 0}
    first = model.generate(prompt, **settings)
    assert first.equal(right.generate(prompt, **settings))
    assert model.generate(prompt, **settings).equal(first)  # from the kept cache


def test_a_lora_or_a_hook_is_not_passed_over():
    model, right = pair()
    both = Both(model, right)
    both.check(ids(20))
    both.check(ids(1))
    seen = []
    handle = model.model.layers[1].mlp.down_proj.register_forward_hook(lambda *a: seen.append(1))
    both.crop(10)
    both.check(ids(1), fused=False)
    assert seen
    handle.remove()
    both.check(ids(1))
    for m in (model, right):
        m.model.layers[0].self_attn.q_proj = Doubled(m.model.layers[0].self_attn.q_proj)
    both.crop(0)
    both.check(ids(20), fused=False)
    both.check(ids(1), fused=False)


def test_a_cast_model_is_not_read_where_it_was():
    """half() and the like give each parameter new memory, and free the one that a graph reads."""
    model, right = pair()
    both = Both(model, right)
    both.check(ids(20))
    both.check(ids(1))
    for m in (model, right):
        m.double()
    both = Both(model, right)
    both.check(ids(20), fused=False)
    both.check(ids(1), fused=False)


class Doubled(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return 2 * self.inner(x)


def test_what_cannot_be_fused_runs_as_transformers_runs_it_and_says_so(caplog):
    with caplog.at_level(logging.INFO, 'airoboros_gptq'):
        model, right = pair('falcon')
    assert model.gptq.fused_forward is None
    assert any('decoding runs layer by layer' in line for line in caplog.messages)
    x = ids(12)
    with torch.no_grad():
        assert deviation(model(x).logits, right(x).logits) < TIGHT


def test_it_can_be_switched_off(monkeypatch, caplog):
    model, _ = load(TINY, checkpoint=PLAIN, kernel='triton', device='cpu', progress=lambda *args: None)
    assert model.gptq.fused_forward is not None
    monkeypatch.setenv('AIROBOROS_GPTQ_GRAPH', '0')
    with caplog.at_level(logging.INFO, 'airoboros_gptq'):
        model, _ = pair()
    assert model.gptq.fused_forward is None
    assert any('AIROBOROS_GPTQ_GRAPH=0' in line for line in caplog.messages)


def test_a_step_that_fails_is_left_for_good_with_a_word(monkeypatch, caplog):
    model, right = pair()
    both = Both(model, right)
    both.check(ids(20))

    def fail(token):
        raise RuntimeError('no graph today')

    monkeypatch.setattr(model.gptq.fused_forward.graph, 'run', fail)
    with caplog.at_level(logging.WARNING, 'airoboros_gptq'):
        both.check(ids(1), fused=False)
        both.check(ids(1), fused=False)
    assert len([line for line in caplog.messages if 'no graph today' in line]) == 1


def test_linears_ordered_differently_are_not_joined():
    model, _ = pair('llama2-gqa')
    kernel = model.model.layers[0].self_attn.k_proj.kernel
    kernel.order = kernel.order.flip(0)
    assert 'order' in reason(model)
