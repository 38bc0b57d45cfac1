"""config.json: what is read of it, by any architecture's names, and sizes that would never end."""

import pytest
from airoboros_gptq.checkpoint import hf_config
from airoboros_gptq.checkpoint.hf_config import (
    check_sizes,
    config_dtype,
    first_positive,
    kv_elements_per_token,
    read_hf_config,
    read_json,
    text_config,
)
from airoboros_gptq.errors import GPTQError
from support import cache_bytes


def test_binary_and_deep_json_are_named(tmp_path):
    (tmp_path / 'a.json').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(GPTQError, match='cannot be read'):
        read_json(tmp_path / 'a.json')
    (tmp_path / 'b.json').write_text('[' * 200_000)
    with pytest.raises(GPTQError, match='not valid JSON'):
        read_json(tmp_path / 'b.json')


def test_a_folder_may_have_none(tmp_path):
    assert read_hf_config(tmp_path) is None
    (tmp_path / 'config.json').write_text('{"vocab_size": 3}')
    assert read_hf_config(tmp_path) == {'vocab_size': 3}
    (tmp_path / 'config.json').write_text('[]')
    with pytest.raises(GPTQError, match=r'config\.json holds a list where an object is expected; download'):
        read_hf_config(tmp_path)


def test_the_first_name_that_holds_a_size_counts():
    keys = hf_config.LAYERS_KEYS
    assert first_positive({'n_layer': 3, 'num_layers': 4}, keys) == 3
    assert first_positive({'num_hidden_layers': 0, 'n_layer': True, 'num_layers': '4', 'n_layers': 5}, keys) == 5
    assert first_positive({}, keys) is None


def test_the_language_model_of_a_model_that_sees():
    assert text_config({'hidden_size': 3, 'text_config': {'hidden_size': 5}}) == {'hidden_size': 5}
    assert text_config({'hidden_size': 3, 'text_config': None}) == {'hidden_size': 3, 'text_config': None}


@pytest.mark.parametrize('nested', [False, True])
@pytest.mark.parametrize('layers', hf_config.LAYERS_KEYS)
def test_more_layers_than_tensors_are_refused(tmp_path, layers, nested):
    config = {layers: 8}
    check_sizes(tmp_path, {'text_config': config} if nested else config, 8)
    with pytest.raises(GPTQError, match=rf'config\.json says {layers} is 8, more than there are tensors; download'):
        check_sizes(tmp_path, {'text_config': config} if nested else config, 7)


@pytest.mark.parametrize('size', [0.5, '32000', True, 2**63])
def test_sizes_that_torch_cannot_take_are_refused(tmp_path, size):
    with pytest.raises(GPTQError, match=r'config\.json says vocab_size is .* where a whole number that fits'):
        check_sizes(tmp_path, {'vocab_size': size}, 9)
    check_sizes(tmp_path, {'vocab_size': None, 'sliding_window': -1}, 9)


SMALL = {'vocab_size': 64, 'hidden_size': 64, 'num_hidden_layers': 3, 'num_attention_heads': 4}
ROPED = SMALL | {'intermediate_size': 96, 'pad_token_id': 0, 'bos_token_id': 1, 'eos_token_id': 2}
CONFIGS = {
    'llama': ROPED,
    'llama, grouped': ROPED | {'num_key_value_heads': 2},
    'mistral': ROPED | {'num_key_value_heads': 2},
    'qwen2': ROPED | {'num_key_value_heads': 2},
    'qwen3': ROPED | {'num_key_value_heads': 2, 'head_dim': 32},
    'gemma2': ROPED | {'num_key_value_heads': 2, 'head_dim': 8},
    'phi3': ROPED | {'num_key_value_heads': 2},
    'mixtral': ROPED | {'num_key_value_heads': 2, 'num_local_experts': 2},
    'gpt_neox': SMALL | {'intermediate_size': 96},
    'opt': SMALL | {'ffn_dim': 96, 'word_embed_proj_dim': 64},
    'falcon': SMALL,
    'falcon, 40B': SMALL | {'new_decoder_architecture': True, 'num_kv_heads': 2},
    'falcon, old': SMALL | {'multi_query': False},
    'gpt_bigcode': {'vocab_size': 64, 'n_embd': 64, 'n_layer': 3, 'n_head': 4},
    'gpt2': {'vocab_size': 64, 'n_embd': 64, 'n_layer': 3, 'n_head': 4},
}


@pytest.mark.parametrize('name', CONFIGS)
def test_the_cache_of_other_architectures(tmp_path, name):
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name.split(',')[0], **CONFIGS[name])).eval()
    model.config.save_pretrained(tmp_path)
    assert kv_elements_per_token(read_json(tmp_path / 'config.json')) * 10 * 4 == cache_bytes(model.float(), 10)


def test_latent_attention_is_counted_spread_out(tmp_path):
    """As transformers caches it before 5.2x; later versions keep the latent vector, and need less."""
    from transformers import AutoModelForCausalLM, DeepseekV3Config

    ranks = {'q_lora_rank': 16, 'kv_lora_rank': 16, 'qk_rope_head_dim': 8, 'qk_nope_head_dim': 16, 'v_head_dim': 24}
    experts = {
        'n_routed_experts': 4,
        'num_experts_per_tok': 2,
        'moe_intermediate_size': 16,
        'n_group': 1,
        'topk_group': 1,
    }
    config = DeepseekV3Config(**ROPED, **ranks, **experts)
    config.save_pretrained(tmp_path)
    elements = kv_elements_per_token(read_json(tmp_path / 'config.json'))
    assert elements == 3 * 4 * (16 + 8 + 24)
    assert cache_bytes(AutoModelForCausalLM.from_config(config).eval().float(), 10) <= elements * 10 * 4


@pytest.mark.parametrize('config', [{}, {'num_hidden_layers': True, 'num_attention_heads': 0, 'hidden_size': 'x'}])
def test_a_cache_that_the_config_does_not_tell(config):
    assert kv_elements_per_token(config) is None


def test_layers_without_keys_and_values_are_not_counted():
    """Qwen3-Next: three of four layers have a state of one size."""
    sizes = {
        'num_hidden_layers': 8,
        'num_attention_heads': 4,
        'num_key_value_heads': 2,
        'head_dim': 32,
        'hidden_size': 64,
    }
    kinds = ['linear_attention', 'full_attention', 'sliding_attention', 'conv'] * 2
    assert kv_elements_per_token(sizes) == 2 * 8 * 2 * 32
    assert kv_elements_per_token(sizes | {'full_attention_interval': 4}) == 2 * 2 * 2 * 32
    assert kv_elements_per_token({'text_config': sizes | {'layer_types': kinds}}) == 2 * 4 * 2 * 32


@pytest.mark.parametrize(
    'config, dtype',
    [
        ({'torch_dtype': 'bfloat16'}, 'bfloat16'),
        ({'dtype': 'torch.float16'}, 'float16'),
        ({'dtype': 'float32', 'text_config': {'dtype': 'bfloat16'}}, 'bfloat16'),
        ({'dtype': 3}, None),
        ({}, None),
    ],
)
def test_the_dtype_that_a_config_names(config, dtype):
    assert config_dtype(config) == dtype
