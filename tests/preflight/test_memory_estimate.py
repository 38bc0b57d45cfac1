"""What loading is said to need, against what it then takes."""

import sys
from types import SimpleNamespace

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.checkpoint.hf_config import read_json
from airoboros_gptq.preflight import memory_estimate as memory
from airoboros_gptq.preflight.folder_summary import read_summary
from airoboros_gptq.preflight.memory_estimate import kv_elements_per_token
from support import ACT_ORDER, PLAIN, TINY, cpu_kernel, edit_json, edit_tensors, run_python, scales_to_fp32, synthetic

GB = 10**9


def storage(tensors):
    """Bytes of the distinct storages behind these tensors."""
    return sum({s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}.values())


def cache_of(model, tokens):
    """The bytes of a cache that a forward pass of so many tokens leaves."""
    with torch.inference_mode():
        cache = model(torch.ones(1, tokens, dtype=torch.long), use_cache=True).past_key_values
    layers = [(layer.keys, layer.values) for layer in cache.layers] if hasattr(cache, 'layers') else list(cache)
    return sum(t.numel() * t.element_size() for pair in layers for t in pair[:2])


def compare(folder, name, kernel, context):
    """The estimate divided by what is measured; weights and cache apart are held to the same bound."""
    need = read_summary(folder, name, device='cpu', kernel=kernel, context=context).memory
    model, _ = load(folder, checkpoint=name, device='cpu', kernel=kernel, progress=lambda *a: None)
    weights, cache = storage([*model.parameters(), *model.buffers()]), cache_of(model, context)
    total = need.total / (weights + cache)
    print(f'{folder.name} {kernel}: estimate {need.total}, measured {weights + cache}, ratio {total:.4f}')
    assert abs(need.weights / weights - 1) < 0.1
    assert abs(need.cache / cache - 1) < 0.1
    assert abs(total - 1) < 0.1
    assert set(need.kernels) == {kernel if kernel != 'auto' else cpu_kernel()}
    assert need.dtype == str(model.dtype).removeprefix('torch.')


def test_a_kernel_that_there_is_not():
    with pytest.raises(GPTQError, match='no kernel exllama; choose one of auto, native-cpu'):
        read_summary(TINY, PLAIN, device='cpu', kernel='exllama')


def test_a_kernel_of_an_earlier_version_is_estimated_as_auto():
    assert read_summary(TINY, PLAIN, device='cpu', kernel='auto-gptq').memory.kernels == (cpu_kernel(),)


@pytest.mark.parametrize('kernel', ['auto', 'torch-int4', 'reference'])
@pytest.mark.parametrize('name', [PLAIN, ACT_ORDER])
def test_the_tiny_model_takes_what_was_said(name, kernel):
    compare(TINY, name, kernel, 2048)


@pytest.mark.parametrize('kernel', ['auto', 'torch-int4', 'reference'])
def test_a_wider_model_takes_what_was_said(tmp_path, kernel):
    synthetic(tmp_path / 'wide', layers=6)
    compare(tmp_path / 'wide', None, kernel, 512)


@pytest.mark.parametrize('kernel', ['auto', 'torch-int4', 'reference'])
def test_fp32_files_and_tied_ones(tiny_copy, kernel):
    edit_tensors(tiny_copy / PLAIN, scales_to_fp32)
    compare(tiny_copy, None, kernel, 100)
    edit_tensors(tiny_copy / PLAIN, lambda t: t.update({'lm_head.weight': t['model.embed_tokens.weight'].clone()}))
    edit_json(tiny_copy / 'config.json', tie_word_embeddings=True)
    compare(tiny_copy, None, kernel, 100)


def test_rotary_tables_and_masks_of_old_files_are_not_counted(tiny_copy):
    before = read_summary(tiny_copy, device='cpu').memory.weights
    more = {
        'model.layers.0.self_attn.rotary_emb.inv_freq': torch.ones(32),
        'model.layers.0.attn.bias': torch.ones(1, 1, 256, 256),
    }
    edit_tensors(tiny_copy / PLAIN, lambda tensors: tensors.update(more))
    assert read_summary(tiny_copy, device='cpu').memory.weights == before


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
    assert kv_elements_per_token(read_json(tmp_path / 'config.json')) * 10 * 4 == cache_of(model.float(), 10)


def test_a_config_that_says_too_little(tiny_copy):
    edit_json(tiny_copy / 'config.json', num_hidden_layers=None)
    summary = read_summary(tiny_copy, device='cpu')
    assert (summary.memory.cache, summary.memory.total) == (None, None)
    values = {f.name: f.value for f in summary.lines}
    assert (values['cache at 2048'], values['total']) == ('unknown', 'unknown')
    assert values['fits'].startswith('unknown')
    assert kv_elements_per_token({'num_hidden_layers': True, 'num_attention_heads': 0, 'hidden_size': 'x'}) is None


@pytest.mark.parametrize(
    ('cache', 'free', 'fits'),
    [(GB, 3 * GB, True), (GB, 3 * GB - 1, False), (GB, None, None), (None, 3 * GB, None), (None, GB, False)],
)
def test_what_fits(cache, free, fits):
    assert memory.MemoryEstimate(2 * GB, cache, 2048, 'cpu', ('reference',), 'float32', free).fits is fits


def test_what_is_free(monkeypatch):
    """RAM on the CPU; on a GPU what its driver has left, and what PyTorch has reserved there without using it."""
    cuda = SimpleNamespace(
        mem_get_info=lambda device: {'cuda:1': (5 * GB, 80 * GB)}[device],
        memory_reserved=lambda device: {'cuda:1': 3 * GB}[device],
        memory_allocated=lambda device: {'cuda:1': 2 * GB}[device],
    )
    monkeypatch.setitem(sys.modules, 'torch', SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(memory, 'free_ram', lambda: 7 * GB)
    assert memory.free_memory('cpu') == 7 * GB
    assert memory.free_memory('cuda:1') == 6 * GB
    assert memory.free_memory('cuda:2') is None  # the driver knows no such GPU
    assert memory.free_memory('mps') is None


def test_a_gpu_is_unknown_before_torch_is_there():
    """And is not looked for by importing torch, which takes seconds."""
    program = 'from airoboros_gptq.preflight import memory_estimate as m; import sys; '
    program += 'print(m.free_memory("cuda:0"), "torch" in sys.modules)'
    code, out, err = run_python('-c', program)
    assert (code, out.strip()) == (0, 'None False'), err
