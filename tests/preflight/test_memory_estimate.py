"""What loading is said to need, against what it then takes."""

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.preflight import memory_estimate as memory
from airoboros_gptq.preflight.folder_summary import read_summary
from support import ACT_ORDER, PLAIN, TINY, cache_bytes, cpu_kernel, edit_json, edit_tensors, scales_to_fp32, synthetic

GB = 10**9


def storage(tensors):
    """Bytes of the distinct storages behind these tensors."""
    return sum({s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}.values())


def compare(folder, name, kernel, context):
    """The estimate divided by what is measured; weights and cache apart are held to the same bound."""
    need = read_summary(folder, name, device='cpu', kernel=kernel, context=context).memory
    model, _ = load(folder, checkpoint=name, device='cpu', kernel=kernel, progress=lambda *a: None)
    weights, cache = storage([*model.parameters(), *model.buffers()]), cache_bytes(model, context)
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


def test_a_config_that_says_too_little(tiny_copy):
    edit_json(tiny_copy / 'config.json', num_hidden_layers=None)
    summary = read_summary(tiny_copy, device='cpu')
    assert (summary.memory.cache, summary.memory.total) == (None, None)
    values = {f.name: f.value for f in summary.lines}
    assert (values['cache at 2048'], values['total']) == ('unknown', 'unknown')
    assert values['fits'].startswith('unknown')


@pytest.mark.parametrize(
    ('cache', 'free', 'fits'),
    [(GB, 3 * GB, True), (GB, 3 * GB - 1, False), (GB, None, None), (None, 3 * GB, None), (None, GB, False)],
)
def test_what_fits(cache, free, fits):
    assert memory.MemoryEstimate(2 * GB, cache, 2048, 'cpu', ('reference',), 'float32', free).fits is fits
