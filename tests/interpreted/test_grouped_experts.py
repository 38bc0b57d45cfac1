"""The experts of whole models by two matmuls a layer, against plain transformers, under Triton's interpreter."""

import pytest
import torch
import transformers
from airoboros_gptq.generation.fused_decode.forward import FusedForward
from airoboros_gptq.generation.fused_decode.generic_forward import GenericForward
from airoboros_gptq.generation.runtime import attach
from airoboros_gptq.model.build import build_model
from airoboros_gptq.model.grouped_experts import GroupedExperts
from airoboros_gptq.model.load_plan import make_plan
from airoboros_gptq.model.unfused_experts import SeparateExperts
from airoboros_gptq.preflight.folder_summary import read_summary
from expert_layouts import LAYOUTS
from made_models import compare, expected, make, take_apart
from small_configs import build

if int(transformers.__version__.partition('.')[0]) < 5:
    pytest.skip('before transformers 5 experts were apart', allow_module_level=True)

ROUNDING = 5e-3  # of fp16
FEW = {'num_hidden_layers': 1, 'num_experts': 6, 'num_local_experts': 6}


def load(made):
    plan = make_plan(read_summary(made.folder, 'model'), 'cpu', torch.float16, 'triton')
    return build_model(plan, lambda done, total: None)


@pytest.fixture
def runs(monkeypatch):
    """How many tokens each call of the two matmuls was for."""
    found, run = [], GroupedExperts.run
    monkeypatch.setattr(
        GroupedExperts, 'run', lambda self, x, *args, **kwargs: found.append(len(x)) or run(self, x, *args, **kwargs)
    )
    return found


@pytest.mark.parametrize('model_type', ['qwen3_moe', 'gpt_oss'])
def test_prompts_and_single_tokens_are_as_in_plain_transformers(model_type, tmp_path, runs):
    made = make(tmp_path, build(model_type, **FEW))
    if model_type == 'gpt_oss':
        take_apart(made, LAYOUTS['gpt_oss, gate and up'][1])
    model, twin = load(made), expected(made)
    assert compare(model, twin) < ROUNDING and runs
    attach(model)
    assert isinstance(model.gptq.fused_forward, FusedForward if model_type == 'qwen3_moe' else GenericForward)
    del runs[:]
    ids = torch.randint(3, 200, (1, 9))
    settings = {'do_sample': False, 'max_new_tokens': 3, 'min_new_tokens': 3}
    assert model.generate(ids, **settings).equal(twin.generate(ids, **settings))
    assert 1 in runs and model.gptq.fused_forward.graph is not None  # which a failure would have put away


def test_what_is_hooked_or_moved_is_noticed(tmp_path, runs):
    model = load(make(tmp_path, build('qwen3_moe', **FEW)))
    experts = next(m for m in model.modules() if isinstance(m, SeparateExperts))
    assert not experts.chooses_on_cpu
    linear = experts.get_submodule('1.down_proj')
    handle = linear.register_forward_hook(lambda module, args, y: None)
    model(torch.randint(3, 200, (1, 4)))
    assert not runs and experts.chooses_on_cpu
    handle.remove()
    first = experts._find_grouped()
    linear.kernel.codes = linear.kernel.codes.clone()
    assert experts._find_grouped() is not first
    assert experts._find_grouped() is experts._find_grouped()


def test_linears_that_differ_are_looked_at_once(tmp_path, monkeypatch, runs):
    """Not at each forward pass again."""
    model = load(make(tmp_path, build('qwen3_moe', **FEW)))
    asked = []
    monkeypatch.setattr(GroupedExperts, 'of', lambda *linears: asked.append(1))
    for _ in range(2):
        model(torch.randint(3, 200, (1, 4)))
    assert len(asked) == 1 and not runs
