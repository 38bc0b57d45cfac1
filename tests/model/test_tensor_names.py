"""Names in a file and names in a model, which transformers renames and fuses from one version to the next."""

import pytest
import torch
import transformers
from accelerate import init_empty_weights
from airoboros_gptq import GPTQError
from airoboros_gptq.checkpoint.checkpoint import open_checkpoint
from airoboros_gptq.model.tensor_names import map_names_to_model
from airoboros_gptq.model.unfused_experts import SeparateExperts
from airoboros_gptq.preflight.folder_summary import read_summary
from architectures import FOLDERS
from support import PLAIN, TINY

MIXTRAL = FOLDERS / 'mixtral'
since_5 = pytest.mark.skipif(
    transformers.__version__ < '5', reason='before transformers 5 names were those of the files'
)


def empty_model(folder):
    with init_empty_weights(include_buffers=False):
        return transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder))


def map_names(folder, file):
    model, checkpoint = empty_model(folder), open_checkpoint(folder, file)
    specs = read_summary(folder, file).quantization.specs
    return model, map_names_to_model(model, checkpoint.tensors, specs, file), checkpoint


def test_names_that_are_the_same_stay():
    _, model_name, checkpoint = map_names(TINY, PLAIN)
    assert all(model_name(name) == name for name in checkpoint.tensors)
    assert model_name('of.no.model') == 'of.no.model'


@since_5
def test_experts_that_the_file_has_apart_are_taken_apart():
    model, model_name, checkpoint = map_names(MIXTRAL, 'model.safetensors')
    found = {model_name(f'{name}.weight') for name in checkpoint.quantized_modules()}
    parameters = dict(model.named_parameters())
    assert found <= set(parameters)
    assert model_name('model.layers.0.block_sparse_moe.experts.3.w2.weight') == 'model.layers.0.mlp.experts.3.w2.weight'
    assert parameters['model.layers.0.mlp.experts.3.w2.weight'].device == torch.device('meta')
    assert sum(isinstance(m, SeparateExperts) for m in model.modules()) == model.config.num_hidden_layers


@since_5
def test_a_fused_module_that_cannot_be_taken_apart_is_told(monkeypatch):
    for rule in ('can_separate', '_is_fused'):
        monkeypatch.setattr(f'airoboros_gptq.model.unfused_experts.{rule}', lambda *args: False)
    with pytest.raises(
        GPTQError, match=r'experts\.0\.w1 by itself, which the installed transformers keeps within .*use'
    ):
        map_names(MIXTRAL, 'model.safetensors')
