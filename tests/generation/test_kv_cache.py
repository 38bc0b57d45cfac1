"""The growing cache against transformers' own, on every architecture."""

import shutil

import pytest
import torch
from airoboros_gptq.generation import kv_cache
from airoboros_gptq.generation.kv_cache import cached_length, crop_to, make_cache
from airoboros_gptq.generation.runtime import attach
from architectures import FOLDERS, NAMES, build
from support import edit_json
from transformers import DynamicCache
from turn_support import Rows

needs_layers = pytest.mark.skipif(not kv_cache.IS_SUPPORTED, reason='before transformers 4.54')


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that a short text grows the cache many times."""
    monkeypatch.setattr(kv_cache, 'CHUNK', 4)


def with_prompt_cache(folder):
    model = build(folder)
    model.generation_config.cache_implementation = None  # Gemma-2's config names one; load() does not take it over
    attach(model)
    return model


def prompt(model, count):
    return torch.randint(3, model.config.get_text_config().vocab_size, (1, count))


def logits(model, cache, ids, sizes):
    """Logits [n, vocabulary] of `ids` fed in pieces of these sizes."""
    found, at = [], cache.get_seq_length() if cache is not None else 0
    start = at
    with torch.no_grad():
        for size in sizes:
            piece = ids[:, at - start : at - start + size]
            mask = torch.ones(1, at + size, dtype=torch.long)
            found.append(model(piece, attention_mask=mask, past_key_values=cache, use_cache=True).logits[0])
            at += size
    return torch.cat(found)


def close(one, other):
    return torch.allclose(one, other, rtol=0, atol=1e-4 * float(other.abs().max()))


@pytest.mark.parametrize('name', NAMES)
def test_turns_of_every_architecture(name):
    model = with_prompt_cache(FOLDERS / name)
    rows = Rows(model)
    first = prompt(model, 20)
    out, _ = rows.check(first)
    later = torch.cat((out, prompt(model, 5)), dim=1)
    _, computed = rows.check(later)
    assert computed == (6 if make_cache(model) is not None else 31)
    rows.check(first[:, :15])
    rows.check(out)


def test_architectures_with_a_growing_cache():
    """All of them; none before transformers 4.54, whose caches have no layers."""
    without = {
        n.values[0] for n in NAMES if not n.marks[0].args[0] and make_cache(build(FOLDERS / n.values[0])) is None
    }
    served = {n.values[0] for n in NAMES if not n.marks[0].args[0]}
    assert without == (set() if kv_cache.IS_SUPPORTED else served)


@pytest.mark.parametrize('name', ['llama', 'gemma2', 'mistral'])
def test_a_window_shorter_than_the_text(name, tmp_path):
    folder = shutil.copytree(FOLDERS / name, tmp_path / name)
    if name != 'llama':
        edit_json(folder / 'config.json', sliding_window=8)
    model = with_prompt_cache(folder)
    rows = Rows(model)
    out, _ = rows.check(prompt(model, 30), max_new_tokens=12)
    _, computed = rows.check(torch.cat((out[:, :-3], prompt(model, 6)), dim=1), max_new_tokens=12)
    assert computed == (6 if make_cache(model) is not None else 45)


def test_rotary_tables_that_follow_the_length_are_left_alone(tmp_path):
    folder = shutil.copytree(FOLDERS / 'llama', tmp_path / 'llama')
    edit_json(folder / 'config.json', rope_scaling={'type': 'dynamic', 'rope_type': 'dynamic', 'factor': 2.0})
    assert make_cache(build(folder)) is None


def test_chunked_attention_keeps_the_cache_of_transformers():
    """Llama 4's layers forget what lies before their chunk."""
    model = build(FOLDERS / 'llama')
    assert (make_cache(model) is not None) is kv_cache.IS_SUPPORTED
    model.config.attention_chunk_size = 16
    assert make_cache(model) is None


@needs_layers
def test_grows_crops_and_forks():
    model = build(FOLDERS / 'llama')
    ids = prompt(model, 40)
    right = logits(model, DynamicCache(), ids, [40])
    cache = make_cache(model)
    assert cached_length(cache) == 0
    assert close(logits(model, cache, ids, [11, 1, 1, 7, 1, 19]), right)
    assert cached_length(cache) == 40
    crop_to(cache, 13)
    other = cache.fork(9)
    assert (cached_length(cache), cached_length(other)) == (13, 9)
    assert close(logits(model, other, ids[:, 9:], [1, 5, 25]), right[9:])
    assert close(logits(model, cache, ids[:, 13:], [27]), right[13:])
    assert cache.nbytes > 0


@needs_layers
def test_tokens_are_written_in_place():
    model = build(FOLDERS / 'llama')
    cache = make_cache(model)
    logits(model, cache, prompt(model, 5), [5])
    buffer = cache.layers[0].buffer
    before = buffer.keys.data_ptr()
    logits(model, cache, prompt(model, 2), [1, 1])
    assert buffer.keys.data_ptr() == before
    logits(model, cache, prompt(model, 4), [4])
    assert buffer.keys.data_ptr() != before


@needs_layers
def test_the_methods_of_transformers_work_on_it():
    model = build(FOLDERS / 'llama')
    ids = prompt(model, 12)
    right = logits(model, DynamicCache(), ids, [12])
    cache = make_cache(model)
    logits(model, cache, ids, [12])
    cache.crop(-4)
    assert close(logits(model, cache, ids[:, 8:], [4]), right[8:])
    cache.batch_repeat_interleave(2)
    cache.reorder_cache(torch.tensor([1, 0]))
    both = ids.expand(2, -1)
    with torch.no_grad():
        found = model(both[:, :3], attention_mask=torch.ones(2, 15), past_key_values=cache, use_cache=True).logits
    again = DynamicCache()
    logits(model, again, ids, [12])
    assert close(found[1], logits(model, again, ids[:, :3], [3]))
