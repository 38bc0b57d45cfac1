"""Files hold each expert by itself, transformers 5 fuses them: apart, they must compute the same, and be missed."""

import shutil
from dataclasses import replace

import pytest
import torch
import transformers
from accelerate import init_empty_weights
from airoboros_gptq import GPTQError
from airoboros_gptq.checkpoint.checkpoint import open_checkpoint
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.model.load_plan import LoadPlan
from airoboros_gptq.model.load_weights import load_weights
from airoboros_gptq.model.tensor_names import map_names_to_model
from airoboros_gptq.model.unfused_experts import SeparateExperts
from airoboros_gptq.preflight.folder_summary import read_summary
from architectures import FOLDERS, build, compare
from safetensors.torch import load_file
from support import edit_tensors

if int(transformers.__version__.partition('.')[0]) < 5:
    pytest.skip('before transformers 5 experts were apart', allow_module_level=True)

MIXTRAL = FOLDERS / 'mixtral'
SMALL = {
    'vocab_size': 64,
    'hidden_size': 32,
    'intermediate_size': 48,
    'moe_intermediate_size': 48,
    'num_hidden_layers': 2,
    'num_attention_heads': 2,
    'num_key_value_heads': 2,
    'head_dim': 16,
    'pad_token_id': 0,
}
EXPERTS = {'num_experts': 4, 'num_experts_per_tok': 2}
KINDS = {
    'MixtralConfig': {'num_local_experts': 4, 'num_experts_per_tok': 2},
    'Qwen2MoeConfig': EXPERTS | {'shared_expert_intermediate_size': 48},
    'Qwen3MoeConfig': EXPERTS,
    'OlmoeConfig': EXPERTS,
    'Dots1Config': {
        'n_routed_experts': 4,
        'num_experts_per_tok': 2,
        'n_shared_experts': 1,
        'n_group': 1,
        'topk_group': 1,
        'first_k_dense_replace': 1,
    },
}


@pytest.mark.parametrize('kind', KINDS)
def test_apart_they_compute_what_fused_ones_do(kind, tmp_path):
    config = getattr(transformers, kind)(**SMALL, **KINDS[kind])
    fused = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for p in (*fused.parameters(), *(b for n, b in fused.named_buffers() if n.endswith('correction_bias'))):
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) / p.shape[-1] ** 0.5)
    fused.save_pretrained(tmp_path)  # under the names of old, expert by expert
    with init_empty_weights(include_buffers=False):
        apart = transformers.AutoModelForCausalLM.from_config(config)
    plan = unquantized_plan(tmp_path)
    names = map_names_to_model(apart, plan.checkpoint.tensors, plan.specs, plan.checkpoint.name)
    load_weights(apart, plan, names, {'': plan.device}, lambda done, total: None)
    assert any(isinstance(m, SeparateExperts) for m in apart.modules())
    ids = torch.randint(3, 64, (2, 12), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        torch.testing.assert_close(apart.eval()(ids).logits, fused(ids).logits, rtol=1e-5, atol=1e-5)


def unquantized_plan(folder):
    """A plan for a folder that is not quantised, which read_summary() would refuse."""
    summary = read_summary(MIXTRAL, 'model')
    quantization = replace(summary.quantization, specs={})
    summary = replace(summary, checkpoint=open_checkpoint(folder, 'model.safetensors'), quantization=quantization)
    return LoadPlan(summary, torch.device('cpu'), torch.float32)


def test_a_missing_expert_is_told_by_name(tmp_path):
    folder = shutil.copytree(MIXTRAL, tmp_path / 'mixtral')

    def drop(tensors):
        for name in [n for n in tensors if '.layers.1.block_sparse_moe.experts.3.w2.' in n]:
            del tensors[name]

    edit_tensors(folder / 'model.safetensors', drop)
    with pytest.raises(GPTQError, match=r'lacks the tensor model\.layers\.1\.mlp\.experts\.3\.w2\.weight'):
        build(folder)


def test_an_expert_may_have_been_left_unquantised(tmp_path):
    folder = shutil.copytree(MIXTRAL, tmp_path / 'mixtral')
    name = 'block_sparse_moe.experts.2.w3'
    linear = build(MIXTRAL).get_submodule(f'model.layers.0.{name.replace("block_sparse_moe", "mlp")}')

    def unquantise(tensors):
        for part in ('qweight', 'qzeros', 'scales', 'g_idx', 'bias'):
            del tensors[f'model.layers.0.{name}.{part}']
        tensors[f'model.layers.0.{name}.weight'] = linear(torch.eye(linear.in_features)).T

    edit_tensors(folder / 'model.safetensors', unquantise)
    model = build(folder)
    assert sum(isinstance(m, GPTQLinear) for m in model.modules()) == 2 * (4 + 4 * 3) - 1
    deviation, same_tokens = compare(model, load_file(folder / 'oracle.safetensors'))
    assert deviation < 1e-5
    assert same_tokens


def test_experts_fused_in_another_way_are_refused(monkeypatch):
    for rule in ('can_separate', '_is_fused'):
        monkeypatch.setattr(f'airoboros_gptq.model.unfused_experts.{rule}', lambda *args: False)
    with pytest.raises(GPTQError, match=r'holds model\.layers\.0\.block_sparse_moe\.experts\.0\.w1 by itself'):
        build(MIXTRAL)
