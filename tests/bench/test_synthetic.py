"""Folders of random weights."""

import dataclasses
import shutil
from collections import namedtuple

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.bench import synthetic
from airoboros_gptq.bench.shapes import SHAPES
from airoboros_gptq.bench.synthetic import synthetic_folder
from airoboros_gptq.preflight.folder_summary import read_summary
from safetensors import safe_open


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('act_order', [False, True])
def test_a_synthetic_folder_is_what_it_is_called(tmp_path, bits, act_order):
    seen = []
    folder = synthetic_folder('tiny', act_order, bits, 64, lambda *at: seen.append(at), tmp_path)
    facts = read_summary(folder)
    assert not facts.quantization.config_mismatches and facts.quantization.symmetric
    assert [facts.quantization.values(k) for k in ('bits', 'group_size', 'desc_act')] == [[bits], [64], [act_order]]
    assert seen[-1][0] == seen[-1][1] < facts.checkpoint.size
    model, tokenizer = load(folder, kernel='reference', device='cpu', progress=lambda done, total: None)
    assert tokenizer('Hi w').input_ids[0] == 1 and tokenizer.decode([300, 301]) == 'w300 w301'
    with torch.inference_mode():
        logits = model(torch.randint(3, 1024, (1, 50))).logits
    assert 0.2 < float(logits.std()) < 5  # neither dying out nor growing from layer to layer
    with safe_open(folder / 'model.safetensors', 'pt') as file:
        q, k, o = (file.get_tensor(f'model.layers.1.self_attn.{n}_proj.g_idx') for n in 'qko')
    assert q.equal(k) and q.equal(o) != act_order  # an order for each input, not for each linear
    written = (folder / 'model.safetensors').stat().st_mtime_ns
    assert synthetic_folder('tiny', act_order, bits, 64, parent=tmp_path) == folder
    assert (folder / 'model.safetensors').stat().st_mtime_ns == written


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(10, 10, 0))
    with pytest.raises(GPTQError, match=r'has no room for 2\.4\d MB'):
        synthetic_folder('tiny', parent=tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(synthetic, '_write_settings', lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        synthetic_folder('tiny', parent=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', sorted(name for name in SHAPES if '-' in name))
def test_each_type_loads_and_computes(tmp_path, monkeypatch, name):
    """The real shape, made small: every tensor has its name, and activations keep their size."""
    shape = SHAPES[name]
    small = {'hidden': 128, 'intermediate': 64, 'layers': 2, 'heads': 4, 'kv_heads': 2, 'vocabulary': 1024}
    small |= {'head_dim': 32 if shape.head_dim else 0, 'experts': 4 if shape.experts else 0}
    settings = {k: 2 if k == 'num_experts_per_tok' else v for k, v in shape.settings.items()}
    monkeypatch.setitem(SHAPES, name, dataclasses.replace(shape, **small, settings=settings))
    folder = synthetic_folder(name, group_size=32, parent=tmp_path)
    model, _ = load(folder, kernel='reference', device='cpu', progress=lambda done, total: None)
    with torch.inference_mode():
        logits = model(torch.randint(3, 1024, (1, 50))).logits
    assert type(model).__name__ == SHAPES[name].config()['architectures'][0]
    assert 0.1 < float(logits.std()) < 10
