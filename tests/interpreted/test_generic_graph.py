"""transformers' forward pass over one token on a table of caches, against transformers' own, under Triton's interpreter."""

import os

import pytest
import torch
from airoboros_gptq.generation.fused_decode.generic_forward import GenericForward
from airoboros_gptq.generation.fused_decode.generic_graph import CannotCapture, GenericGraph
from airoboros_gptq.generation.kv_cache import cache_name, crop_to, make_cache
from airoboros_gptq.generation.runtime import attach
from architectures import FOLDERS, build
from transformers import AutoConfig, AutoModelForCausalLM

COMMON = {'vocab_size': 128, 'num_hidden_layers': 2, 'max_position_embeddings': 512}
SMALL = {**COMMON, 'hidden_size': 64, 'intermediate_size': 96, 'num_attention_heads': 4, 'num_key_value_heads': 2}
# One for each thing that attention can do: grouped heads, norms of q and k, heads of 24, soft-capping and windows, sinks, partial
# rotation, experts. AIROBOROS_ALL_MODELS=1 tries the rest too.
MODELS = {
    'llama': SMALL,
    'qwen3': SMALL | {'head_dim': 32},
    'phi3': SMALL | {'num_key_value_heads': 4, 'hidden_size': 96, 'pad_token_id': 0},
    'gemma2': SMALL | {'head_dim': 32, 'sliding_window': 8},
    'gemma3_text': SMALL | {'head_dim': 32, 'sliding_window': 8},
    'mistral': SMALL | {'sliding_window': 8},
    'granite': SMALL,
    'gpt_oss': SMALL | {'head_dim': 32, 'num_local_experts': 2, 'num_experts_per_tok': 1, 'sliding_window': 8},
    'starcoder2': SMALL,
    'gpt_neox': {**COMMON, 'hidden_size': 64, 'intermediate_size': 96, 'num_attention_heads': 4},
    'cohere2': SMALL | {'sliding_window': 8},
    'olmo2': SMALL,
    'glm4': SMALL | {'head_dim': 32, 'pad_token_id': 0},
    'smollm3': SMALL | {'pad_token_id': 0},
    'qwen3_moe': SMALL | {'head_dim': 32, 'num_experts': 4, 'num_experts_per_tok': 2, 'moe_intermediate_size': 32},
}

FEW = ('llama', 'phi3', 'gemma2', 'gpt_oss', 'gpt_neox', 'qwen3_moe')


@pytest.mark.parametrize('name', MODELS if os.environ.get('AIROBOROS_ALL_MODELS') else FEW)
def test_one_token_after_another_gives_what_transformers_gives(name):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **MODELS[name])).eval()
    for p in model.parameters():
        if p.dim() == 1:
            torch.nn.init.normal_(p, 1, 0.2)
    model.set_attn_implementation('eager')
    ids = torch.randint(1, 128, (1, 72))
    with torch.no_grad():
        right = model(ids).logits
        graph, cache = GenericGraph(model), make_cache(model)
        model(ids[:, :70], **{cache_name(type(model)): cache})
        cache.reserve(72)
        graph.attach_cache(cache.buffers(), 70)
        for at in range(70, 72):
            logits = graph.run(ids[:, at : at + 1])
            assert (logits[0, 0] - right[0, at]).norm() < 1e-4 * right[0, at].norm()
        crop_to(cache, 72)
        follow = model(ids[:, :3], **{cache_name(type(model)): cache}, position_ids=torch.arange(72, 75)[None]).logits
        again = model(torch.cat((ids, ids[:, :3]), 1)).logits[:, 72:]
    assert (follow - again).norm() < 1e-4 * again.norm()
    assert model.config._attn_implementation == 'eager'


def test_attention_that_cannot_be_replaced_is_said():
    config = AutoConfig.for_model('bloom', vocab_size=64, hidden_size=32, n_layer=1, n_head=2)
    with pytest.raises(CannotCapture, match='BloomForCausalLM cannot be replaced'):
        GenericGraph(AutoModelForCausalLM.from_config(config))


def gptq(name, kernel='triton'):
    """A folder of tests/architectures, loaded and attached, and the same on the reference kernel."""
    models = [build(FOLDERS / name, k) for k in (kernel, 'reference')]
    attach(models[0])
    return models


@pytest.mark.parametrize('name', ['gpt-neox', 'gpt-bigcode'])
def test_models_without_a_fused_step_decode_by_a_graph(name):
    model, right = gptq(name)
    assert isinstance(model.gptq.fused_forward, GenericForward)
    prompt = torch.randint(3, model.config.vocab_size, (1, 12))
    settings = {'max_new_tokens': 3, 'do_sample': False, 'eos_token_id': None, 'pad_token_id': 0}
    model.generation_config.cache_implementation = right.generation_config.cache_implementation = None
    out = model.generate(prompt, **settings)
    assert out.equal(right.generate(prompt, **settings))
    assert model.gptq.fused_forward._is_verified and model.gptq.fused_forward.graph is not None
    assert model.generate(prompt, **settings).equal(out)  # from the prompt cache


def test_a_hook_or_another_module_is_not_passed_over():
    model, _ = gptq('gpt-neox')
    fused = model.gptq.fused_forward
    assert fused.is_intact()
    handle = model.gpt_neox.layers[1].mlp.register_forward_hook(lambda *args: None)
    assert not fused.is_intact()
    handle.remove()
    assert fused.is_intact()
    model.gpt_neox.layers[0].attention.dense = torch.nn.Identity()
    assert not fused.is_intact()


def test_a_graph_that_computes_something_else_is_not_used(monkeypatch, caplog):
    model, right = gptq('gpt-neox')
    run = GenericGraph.run
    monkeypatch.setattr(GenericGraph, 'run', lambda self, token: run(self, token) * 1.5)
    prompt = torch.randint(3, model.config.vocab_size, (1, 12))
    settings = {'max_new_tokens': 3, 'do_sample': False, 'eos_token_id': None, 'pad_token_id': 0}
    assert model.generate(prompt, **settings).equal(right.generate(prompt, **settings))
    assert 'its logits differ by 50% from those of transformers' in caplog.text
    assert model.gptq.fused_forward.graph is None
