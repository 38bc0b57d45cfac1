"""The small folders of tests/architectures, built without the tokenizer that they lack."""

import pytest
import torch
from airoboros_gptq.checkpoint.checkpoint import choose_checkpoint
from airoboros_gptq.checkpoint.hf_config import read_json
from airoboros_gptq.checkpoint.quant_inference import infer_quantization
from airoboros_gptq.checkpoint.quantize_config import read_quantize_config
from airoboros_gptq.model.load import build_model
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
    config = read_quantize_config(folder)
    chosen = choose_checkpoint(folder, config, 'model')  # the oracle is a safetensors file, too
    dtype = torch.float32 if kernel == 'reference' else None
    found = infer_quantization(chosen, config)
    assert not found.config_mismatches
    cpu = torch.device('cpu')
    return build_model(folder, chosen, found, cpu, dtype, kernel, attention, False, lambda done, total: None)


def compare(model, oracle):
    """The relative deviation of the logits at the recorded positions, and whether the greedy tokens are the same."""
    right = oracle['logits']
    with torch.inference_mode():
        found = model(oracle['input_ids'][None].long()).logits[0, -len(right) :].float()
    return float((found - right).norm() / right.norm()), found.argmax(-1).equal(right.argmax(-1))
