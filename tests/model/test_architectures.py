"""Small folders of many architectures against the logits of the library that quantised them (architectures/README.md)."""

import shutil

import pytest
import torch
from airoboros_gptq.kernels.linear import GPTQLinear
from architectures import FOLDERS, NAMES, build, compare
from safetensors.torch import load_file
from support import edit_tensors

# Relative to the norm of the oracle's logits; the fast kernel and the whole model around it compute in bf16.
TOLERANCE = {'reference': 1e-5, 'auto': 2e-2}


@pytest.mark.parametrize('kernel', TOLERANCE)
@pytest.mark.parametrize('name', NAMES)
def test_the_logits_are_the_quantisers_own(name, kernel, record_property):
    oracle = load_file(FOLDERS / name / 'oracle.safetensors')
    deviation, same_tokens = compare(build(FOLDERS / name, kernel), oracle)
    record_property('deviation', deviation)
    assert deviation < TOLERANCE[kernel]
    assert same_tokens


@pytest.mark.parametrize('name', NAMES)
def test_sdpa_as_the_webui_asks_for_it_changes_nothing(name):
    deviation, same_tokens = compare(
        build(FOLDERS / name, attention='sdpa'), load_file(FOLDERS / name / 'oracle.safetensors')
    )
    assert deviation < TOLERANCE['reference']
    assert same_tokens


@pytest.mark.parametrize('name', NAMES)
def test_every_quantised_linear_is_in_the_model(name):
    model = build(FOLDERS / name)
    quantised = [n for n in load_file(FOLDERS / name / 'model.safetensors') if n.endswith('.qweight')]
    assert sum(isinstance(m, GPTQLinear) for m in model.modules()) == len(quantised) > 0
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))


@pytest.mark.parametrize('name', NAMES)
def test_one_flipped_bit_shows(name, tmp_path):
    """A comparison that a wrong weight can pass would be worth nothing."""
    folder = shutil.copytree(FOLDERS / name, tmp_path / name)

    def flip(tensors):
        tensors[next(n for n in tensors if n.endswith('.qweight'))][0, 0] ^= 8

    edit_tensors(folder / 'model.safetensors', flip)
    deviation, _ = compare(build(folder), load_file(folder / 'oracle.safetensors'))
    assert deviation > 10 * TOLERANCE['reference']


@pytest.mark.parametrize('name', NAMES)
def test_generating_with_a_cache_gives_the_tokens_of_one_pass(name):
    model, ids = build(FOLDERS / name), load_file(FOLDERS / name / 'oracle.safetensors')['input_ids'][None].long()
    with torch.inference_mode():
        out = model.generate(ids, do_sample=False, max_new_tokens=6, min_new_tokens=6, eos_token_id=None)
        once = model(out[:, :-1]).logits[:, ids.shape[1] - 1 :].argmax(-1)
    assert out[:, ids.shape[1] :].equal(once)
