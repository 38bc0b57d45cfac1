"""What is written of a loaded model is all of it, or nothing and one sentence."""

import pytest
import torch
from airoboros_gptq import GPTQError, load
from safetensors.torch import load_file
from support import PLAIN, TINY

peft = pytest.importorskip('peft')


@pytest.fixture
def model():
    return load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu', progress=lambda done, total: None)[0]


@pytest.mark.parametrize('what', ['save_pretrained', 'state_dict'])
def test_a_model_without_its_linears_is_never_written(model, tmp_path, what):
    with pytest.raises(GPTQError, match=rf'^{what}\(\) cannot write .* copy {TINY}'):
        model.save_pretrained(tmp_path / 'out') if what == 'save_pretrained' else model.state_dict()
    assert not (tmp_path / 'out').exists()


def lora():
    return peft.LoraConfig(target_modules=['q_proj'], r=4, init_lora_weights=False, task_type='CAUSAL_LM')


def test_an_adapter_is_written(model, tmp_path):
    peft.get_peft_model(model, lora()).save_pretrained(tmp_path)
    assert len(load_file(tmp_path / 'adapter_model.safetensors')) == 2 * model.config.num_hidden_layers


def test_an_adapter_that_transformers_added_is_written(model, tmp_path):
    try:
        model.add_adapter(lora())
    except ValueError as e:
        pytest.skip(str(e))  # this transformers asks for a newer peft
    model.save_pretrained(tmp_path)
    assert len(load_file(tmp_path / 'adapter_model.safetensors')) == 2 * model.config.num_hidden_layers


@pytest.mark.parametrize('how', ['merge_and_unload', 'merge_adapter'])
def test_peft_itself_refuses_to_merge(model, how):
    outer = peft.get_peft_model(model, lora())
    with pytest.raises(ValueError, match='Cannot merge LORA layers when the model is gptq quantized'):
        getattr(outer, how)()


def test_a_model_is_still_cast_and_moved(model):
    assert model.half().float().to('cpu').dtype == torch.float32
