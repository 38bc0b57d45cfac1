"""Experts apart in the file where transformers fuses them in ways of their own: with biases, transposed, side by side."""

import pytest
import torch
import transformers
from airoboros_gptq import load
from airoboros_gptq.kernels.linear import GPTQLinear
from expert_layouts import LAYOUTS
from made_models import compare, expected, input_ids, make, same_text, take_apart
from small_configs import build, has


@pytest.mark.parametrize('layout', LAYOUTS)
def test_experts_apart_compute_what_fused_ones_do(layout, tmp_path):
    model_type, parts = LAYOUTS[layout]
    if not has(model_type):
        pytest.skip(f'transformers {transformers.__version__} has no {model_type}')
    made = make(tmp_path, build(model_type))
    take_apart(made, parts)
    model, twin = load(made.folder, device='cpu', kernel='reference', dtype='float32')[0], expected(made)
    names = [n for n, m in model.named_modules() if isinstance(m, GPTQLinear)]
    assert len(names) > len(made.quantised) + 2 * 32  # the experts, which stay quantised
    assert compare(model, twin) < 1e-5
    assert same_text(model, twin)


def test_biases_that_the_linears_of_the_file_have(tmp_path):
    """GPTQModel writes gpt-oss's so; transformers keeps them fused."""
    made = make(tmp_path, build('gpt_oss'))
    take_apart(made, LAYOUTS['gpt_oss'][1])

    def move(tensors):
        for name in [n for n in tensors if n.endswith('_proj_bias')]:
            base, _, part = name.removesuffix('_bias').rpartition('.')
            tensors.update({f'{base}.{i}.{part}.bias': b.clone() for i, b in enumerate(tensors.pop(name))})

    made.edit_tensors(move)
    model = load(made.folder, device='cpu', kernel='reference', dtype='float32')[0]
    assert compare(model, expected(made)) < 1e-5


@pytest.mark.parametrize('model_type', ['qwen3_moe', 'llama4_text', 'granitemoe'])
def test_only_the_chosen_experts_are_read(model_type, tmp_path):
    made = make(tmp_path, build(model_type))
    layout = LAYOUTS.get(model_type.removesuffix('_text'))
    if layout:
        take_apart(made, layout[1])
    model = load(made.folder, device='cpu', kernel='reference', dtype='float32')[0]
    read = set()
    for name, module in model.named_modules():
        if isinstance(module, GPTQLinear) and ('experts.' in name or '_linear.' in name):
            module.register_forward_pre_hook(lambda m, a, name=name: read.add(name))
    with torch.inference_mode():
        model(input_ids=input_ids()[:, :1])
    layers, chosen, parts = 2, 1 if model_type == 'llama4_text' else 2, 2 if model_type == 'granitemoe' else 3
    assert len(read) == layers * chosen * parts
