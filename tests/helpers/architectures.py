"""The small folders of tests/architectures, built without the tokenizer that they lack."""

import pytest
import torch
from airoboros_gptq.model.build import build_model
from airoboros_gptq.model.load_plan import make_plan
from airoboros_gptq.preflight.folder_summary import read_summary
from airoboros_gptq.util.regular_file import read_json
from support import ROOT
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

FOLDERS = ROOT / 'tests' / 'architectures'
EXPECTED = {
    *('llama', 'llama2-gqa', 'mistral', 'mixtral', 'qwen2', 'qwen3', 'gemma2', 'phi3'),
    *('gpt-neox', 'opt', 'falcon', 'gpt-bigcode'),
}


def in_this_transformers(name):
    model_type = read_json(FOLDERS / name / 'config.json')['model_type']
    missing = model_type not in CONFIG_MAPPING_NAMES
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=f'this transformers has no {model_type}'))


NAMES = [in_this_transformers(name) for name in sorted(EXPECTED)]


def build(folder, kernel='reference', attention=None):
    """The model without a tokenizer, which these folders lack."""
    summary = read_summary(folder, 'model')  # the oracle is a safetensors file, too
    assert not summary.quantization.config_mismatches
    dtype = torch.float32 if kernel == 'reference' else None
    plan = make_plan(summary, 'cpu', dtype, kernel, attn_implementation=attention)
    return build_model(plan, lambda done, total: None)


def compare(model, oracle):
    """The relative deviation of the logits at the recorded positions, and whether the greedy tokens are the same."""
    right = oracle['logits']
    with torch.inference_mode():
        found = model(oracle['input_ids'][None].long()).logits[0, -len(right) :].float()
    return float((found - right).norm() / right.norm()), found.argmax(-1).equal(right.argmax(-1))
