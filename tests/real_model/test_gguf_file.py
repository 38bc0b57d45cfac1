"""What is read of a GGUF file, against the model that it was written from and against transformers' own reader."""

import torch
from airoboros_gptq.real_model.gguf_file import GGUFFile
from transformers import AutoModelForCausalLM


def test_tensors_are_those_of_the_model(llama, gguf_path):
    expected = llama.state_dict()
    read = {name: torch.from_numpy(values.copy()) for name, values, _ in GGUFFile(gguf_path).tensors()}
    assert read.keys() == expected.keys() - {'lm_head.weight'}
    assert all(torch.equal(read[name], expected[name]) for name in read)
    linears = {name for name, _, is_linear in GGUFFile(gguf_path).tensors() if is_linear}
    assert linears == {name for name in read if '_proj' in name}


def test_transformers_reads_the_same(gguf_path):
    theirs = AutoModelForCausalLM.from_pretrained(gguf_path.parent, gguf_file=gguf_path.name, dtype=torch.float32)
    expected = theirs.state_dict()
    assert all(torch.equal(torch.from_numpy(v.copy()), expected[name]) for name, v, _ in GGUFFile(gguf_path).tensors())


def test_the_config_is_that_of_the_model(llama, gguf_path):
    config = GGUFFile(gguf_path).config()
    expected = llama.config.to_dict()
    for name in ('torch_dtype', 'architectures', 'rope_theta'):
        config.pop(name)
    assert {name: expected[name] for name in config} == config
