"""From a plan to a model: names are mapped once, mismatches are logged, and the model is ready to run."""

import pytest
import torch
from airoboros_gptq.model import build as build_module
from airoboros_gptq.model.build import build_model
from airoboros_gptq.model.load_plan import make_plan
from airoboros_gptq.preflight.folder_summary import read_summary
from support import TINY, edit_json


def quiet(done, total):
    pass


@pytest.mark.parametrize('max_memory', [None, {'cpu': '1GiB'}])
def test_names_are_mapped_to_the_model_once(monkeypatch, max_memory):
    """Mapping takes fused experts apart: a second time it would find none."""
    calls, real = [], build_module.map_names_to_model
    monkeypatch.setattr(build_module, 'map_names_to_model', lambda *args: calls.append(args) or real(*args))
    model = build_model(make_plan(read_summary(TINY), 'cpu', kernel='reference', max_memory=max_memory), quiet)
    assert len(calls) == 1
    assert {str(p.device) for p in model.parameters()} == {'cpu'}


def test_the_model_is_ready_to_run():
    model = build_model(make_plan(read_summary(TINY), 'cpu', kernel='reference'), quiet)
    assert not model.training and not any(p.requires_grad or p.is_meta for p in model.parameters())
    with torch.inference_mode():
        assert model(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_a_config_that_the_tensors_refute_is_a_warning(tiny_copy, caplog):
    edit_json(tiny_copy / 'quantize_config.json', bits=8)
    build_model(make_plan(read_summary(tiny_copy), 'cpu'), quiet)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert warnings == ['quantize_config.json says bits is 8; the tensors have 4, and that is used.']
