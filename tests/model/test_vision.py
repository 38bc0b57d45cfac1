"""Models that also see: the language half is loaded, answers as the whole does, and the rest is neither read nor there."""

import logging

import pytest
import torch
import transformers
from airoboros_gptq import load
from airoboros_gptq.model.vision import Unloaded
from airoboros_gptq.preflight.folder_summary import read_summary
from made_models import compare, expected, make, same_text
from small_configs import SEEING, auto_class, build, has


def seeing(model_type, tmp_path):
    if not has(model_type):
        pytest.skip(f'transformers {transformers.__version__} has no {model_type}')
    return make(tmp_path, build(model_type))


@pytest.mark.parametrize('model_type', SEEING)
def test_the_language_half_answers_as_the_whole(model_type, tmp_path, caplog):
    made = seeing(model_type, tmp_path)
    with caplog.at_level(logging.INFO, 'airoboros_gptq'):
        model, _ = load(made.folder, device='cpu', kernel='reference', dtype='float32')
    twin = expected(made, auto_class(model_type))
    assert compare(model, twin) < 1e-5
    assert same_text(model, twin)
    assert not [n for n, _ in model.named_parameters() if 'vis' in n or 'projector' in n]
    assert 'only the language half is loaded' in caplog.text


def test_damage_in_the_vision_tower_is_not_looked_at(tmp_path):
    made = seeing('qwen2_5_vl', tmp_path)
    made.edit_tensors(lambda t: [x.fill_(float('nan')) for n, x in t.items() if 'visual' in n])
    load(made.folder, device='cpu')


def test_a_picture_is_refused_in_a_sentence(tmp_path):
    model, _ = load(seeing('qwen2_5_vl', tmp_path).folder, device='cpu')
    part = next(m for m in model.modules() if isinstance(m, Unloaded))
    with pytest.raises(RuntimeError, match='runs the language half alone'):
        part(torch.zeros(1))


@pytest.mark.parametrize('model_type', ['qwen3_5', 'qwen2_vl'])
def test_what_is_known_before_loading_is_of_the_language_half(model_type, tmp_path):
    made = seeing(model_type, tmp_path)
    summary = read_summary(made.folder, context=100)
    assert summary.context_length == 128
    with torch.inference_mode():
        model, _ = load(made.folder, device='cpu')
        cache = model(torch.ones(1, 100, dtype=torch.long), use_cache=True).past_key_values
    held = [t for layer in cache.layers for t in (getattr(layer, 'keys', None), getattr(layer, 'values', None))]
    assert summary.memory.cache == sum(t.numel() * t.element_size() for t in held if t is not None)
