"""The folder that is written, loaded as any GPTQ folder, against transformers on its dequantised twin."""

import json

import dequantise
import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.real_model.make_folder import make_folder
from airoboros_gptq.session import detect_folder_version
from transformers import AutoModelForCausalLM


@pytest.fixture(scope='module')
def folder(gguf_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp('made') / 'tiny-GPTQ'
    make_folder(gguf_path, 'Apache License', folder, lambda done, total: None)
    return folder


def test_logits_are_transformers_own_on_the_twin(folder, llama, tmp_path):
    model, tokenizer = load(folder, kernel='reference', device='cpu', dtype='float32')
    ids = tokenizer('hello, hello! <|im_end|> 123 and on', return_tensors='pt').input_ids
    dequantise.write_twin(folder, tmp_path / 'twin', dtype=torch.float32)
    twin = AutoModelForCausalLM.from_pretrained(tmp_path / 'twin', dtype=torch.float32)
    with torch.inference_mode():
        logits, expected, original = (m(ids).logits for m in (model, twin, llama))
    assert torch.allclose(logits, expected, atol=1e-4)
    assert torch.nn.functional.cosine_similarity(logits, original, dim=-1).min() > 0.99


def test_the_folder_says_what_it_is(folder):
    read = {file.name: file.read_text() for file in folder.iterdir() if file.suffix != '.safetensors'}
    assert read['LICENSE'] == 'Apache License' and 'Apache 2.0' in read['README.md']
    generation = json.loads(read['generation_config.json'])
    assert (generation['eos_token_id'], generation['do_sample']) == (2, False)
    assert json.loads(read['config.json'])['quantization_config']['quant_method'] == 'gptq'
    assert detect_folder_version(folder) is None
