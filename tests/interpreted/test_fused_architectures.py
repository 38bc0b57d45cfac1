"""The fused step of architectures that compute something else than LLaMA, against their dequantised twins in transformers."""

import pytest
import torch
from airoboros_gptq.generation.fused_decode.forward import FusedForward
from airoboros_gptq.generation.kv_cache import make_cache
from airoboros_gptq.generation.runtime import attach
from architectures import build
from made_models import expected, make
from transformers import AutoConfig, AutoModelForCausalLM

SMALL = {
    **{'vocab_size': 256, 'num_hidden_layers': 2, 'max_position_embeddings': 128, 'hidden_size': 64},
    **{'intermediate_size': 128, 'num_attention_heads': 4, 'num_key_value_heads': 2, 'pad_token_id': 0},
}
FULL_AND_WINDOW = {'head_dim': 32, 'sliding_window': 8, 'layer_types': ['sliding_attention', 'full_attention']}
MODELS = {
    'phi3': SMALL | {'hidden_size': 96, 'num_key_value_heads': 4, 'sliding_window': 40},  # heads of 24
    'granite': SMALL
    | {'embedding_multiplier': 7.0, 'residual_multiplier': 0.3, 'logits_scaling': 3.0, 'attention_multiplier': 0.1},
    'gemma': SMALL | {'head_dim': 32},
    'gemma2': SMALL | FULL_AND_WINDOW | {'attn_logit_softcapping': 2.0, 'final_logit_softcapping': 3.0},
    'gemma3_text': SMALL | FULL_AND_WINDOW,  # norms of heads, another rotary embedding for each kind of layer
}


def deviation(found, right):
    assert found.shape == right.shape
    return ((found.double() - right.double()).norm() / right.double().norm()).item()


@pytest.fixture
def models(request, tmp_path):
    config = AutoConfig.for_model(request.param, **MODELS[request.param])
    made = make(tmp_path, AutoModelForCausalLM.from_config(config))
    model = build(made.folder, 'triton')
    return model, expected(made, attn_implementation='eager')


def ask(model, right, parts):
    """The deviation after each part of a conversation, and which of the fused forward's ways it took."""
    fused, cache, so_far, found = model.gptq.fused_forward, make_cache(model), [], []
    ran = []
    for owner, name in ((fused, '_prefill'), (fused._prompts, 'run'), (fused.graph, 'run')):
        way = getattr(owner, name)
        setattr(owner, name, lambda *a, way=way, name=name: ran.append(name) or way(*a))
    with torch.no_grad():
        for part in parts:
            so_far.append(part)
            expected_logits = right(torch.cat(so_far, 1)).logits[:, -part.shape[1] :]
            found.append(deviation(model(part, past_key_values=cache).logits, expected_logits))
    return found, ran


@pytest.mark.parametrize('models', MODELS, indirect=True)
def test_prompts_and_tokens(models):
    model, right = models
    attach(model)
    assert isinstance(model.gptq.fused_forward, FusedForward)
    deviations, ran = ask(model, right, torch.randint(3, 256, (1, 34)).split([20, 1, 12, 1], 1))
    assert max(deviations) < 5e-4
    assert ran.count('run') == 2 and ran.count('_prefill') == 2 * model.gptq.fused_forward.plan.attends_to_all


@pytest.mark.parametrize('models', ['phi3', 'gemma2'], indirect=True)
def test_short_prompts_in_half_precision(models):
    """By the kernels of a prompt graph, windows and soft-capping among them."""
    model, right = models
    attach(model.half())
    deviations, ran = ask(model, right, torch.randint(3, 256, (1, 42)).split([5, 19, 1, 17], 1))
    assert max(deviations) < 1e-2
    assert ran.count('_prefill') == 3 and ran.count('run') == 4
