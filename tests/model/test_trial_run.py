"""One forward pass before a load is called done: what would fail at the first token, or answer gibberish, says so at load."""

import functools
import logging

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.model import load_plan
from made_models import QUANTISED, ROUTERS, compare, expected, make
from small_configs import build, has
from support import TINY
from torch.nn import functional as F


def overflowing(tmp_path, model_type='qwen2'):
    """A model whose residual stream leaves float16, as Qwen's and Gemma 3's do (transformers#36822, QwenLM/Qwen3#761)."""
    made = make(tmp_path, build(model_type), scales_dtype=torch.bfloat16)

    def grow(tensors):
        for name, t in tensors.items():
            if 'layers.0.mlp.down_proj.scales' in name:
                t.mul_(3e5)

    made.edit_tensors(grow)
    return made


def test_a_model_that_runs_only_with_a_cache_loads(monkeypatch):
    from transformers import LlamaForCausalLM

    forward = LlamaForCausalLM.forward

    @functools.wraps(forward)
    def picky(self, *args, **kwargs):
        if not kwargs.get('use_cache', True):
            raise RuntimeError('position_ids of three dimensions, as GLM-4V in transformers 4')
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, 'forward', picky)
    load(TINY, device='cpu', kernel='reference')


def test_it_runs_once_and_keeps_no_cache(monkeypatch):
    from transformers import LlamaForCausalLM

    calls, forward = [], LlamaForCausalLM.forward

    @functools.wraps(forward)  # its parameters are looked up once per class and remembered
    def watched(self, *args, **kwargs):
        out = forward(self, *args, **kwargs)
        calls.append(out.past_key_values)
        return out

    monkeypatch.setattr(LlamaForCausalLM, 'forward', watched)
    model, _ = load(TINY, device='cpu')
    assert calls == [None]
    assert model.gptq.throughput is None


def test_a_model_that_float16_cannot_run_is_told(tmp_path):
    with pytest.raises(
        GPTQError, match='computes NaN or infinity in float16; load it with another dtype, bfloat16 or float32'
    ):
        load(overflowing(tmp_path).folder, device='cpu', dtype='float16', kernel='reference')


def test_no_default_leads_to_nan(tmp_path, monkeypatch, caplog):
    """As on a GPU whose default is float16, which the config does not contradict."""
    made = overflowing(tmp_path)
    monkeypatch.setattr(load_plan, 'default_dtype', lambda *args: 'float16')
    with caplog.at_level(logging.WARNING, 'airoboros_gptq'):
        model, _ = load(made.folder, device='cpu', kernel='reference')
    assert model.dtype is torch.bfloat16
    assert 'is loaded in bfloat16 instead' in caplog.text


def test_a_weight_that_float16_cannot_hold_is_no_damaged_file(tmp_path, monkeypatch):
    made = make(tmp_path, build('llama'))
    made.edit_tensors(lambda t: t.update({'model.norm.weight': torch.full((64,), 9e4).bfloat16()}))
    with pytest.raises(
        GPTQError, match=r'model\.norm\.weight with numbers beyond the range of float16; load it with'
    ) as e:
        load(made.folder, device='cpu', dtype='float16')
    assert 'damaged' not in str(e.value)
    monkeypatch.setattr(load_plan, 'default_dtype', lambda *args: 'float16')
    assert load(made.folder, device='cpu')[0].dtype is torch.bfloat16
    made.edit_tensors(lambda t: t.update({'model.norm.weight': torch.full((64,), float('inf'))}))
    with pytest.raises(GPTQError, match='the file is damaged'):
        load(made.folder, device='cpu')


@pytest.mark.parametrize('model_type', ['hunyuan_v1_moe', 'deepseek_v2'])
def test_a_linear_whose_weight_is_asked_for_is_dequantised(model_type, tmp_path, monkeypatch):
    """Told by the run where the source did not tell it."""
    monkeypatch.setattr('airoboros_gptq.model.linear_places.is_read_by_weight', lambda model, name: False)
    assert has(model_type)
    made = make(tmp_path, build(model_type), pattern=ROUTERS if model_type == 'deepseek_v2' else f'{QUANTISED}|wg$')
    model, _ = load(made.folder, device='cpu', kernel='reference', dtype='float32')
    assert compare(model, expected(made)) < 1e-5


@pytest.mark.parametrize('reads', ['weight', 'dtype'])
def test_a_linear_of_which_only_the_dtype_is_asked_stays_quantised(reads, tmp_path, monkeypatch):
    """At each token, with nothing dequantised; one whose weight is computed with is dequantised once, at load, in each layer."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    def forward(self, x):
        x = self.act_fn(self.gate_proj(x)) * self.up_proj(x)
        down = self.down_proj.weight
        return F.linear(x, down) if reads == 'weight' else self.down_proj(x.to(down.dtype))

    made = make(tmp_path, build('llama'))
    twin = expected(made)
    monkeypatch.setattr(LlamaMLP, 'forward', forward)
    monkeypatch.setattr('airoboros_gptq.model.linear_places.is_read_by_weight', lambda model, name: False)
    model, _ = load(made.folder, device='cpu', kernel='reference', dtype='float32')
    kinds = [type(layer.mlp.down_proj).__name__ for layer in model.model.layers]
    assert kinds == ['Linear' if reads == 'weight' else 'GPTQLinear'] * 2
    assert type(model.model.layers[0].mlp.up_proj) is GPTQLinear
    monkeypatch.setattr(GPTQLinear, 'dequantize', lambda self: pytest.fail('it was dequantised'))
    assert compare(model, twin) < 1e-5


def test_a_linear_whose_memory_is_asked_for_is_dequantised(tmp_path, monkeypatch):
    """As by a kernel of another library, which a lazy weight cannot serve."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    def forward(self, x):
        assert self.down_proj.weight.data_ptr()
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))

    made = make(tmp_path, build('llama'))
    monkeypatch.setattr(LlamaMLP, 'forward', forward)
    model, _ = load(made.folder, device='cpu', kernel='reference', dtype='float32')
    assert {type(layer.mlp.down_proj) for layer in model.model.layers} == {torch.nn.Linear}
    assert compare(model, expected(made)) < 1e-5


def test_what_does_not_run_says_so_in_one_sentence(tmp_path, monkeypatch):
    from transformers import LlamaForCausalLM

    @functools.wraps(LlamaForCausalLM.forward)
    def fail(*args, **kwargs):
        raise ValueError('too many values to unpack (expected 2)\nand more')

    made = make(tmp_path, build('llama'))
    monkeypatch.setattr(LlamaForCausalLM, 'forward', fail)
    with pytest.raises(
        GPTQError, match=r'which does not run \(too many values to unpack \(expected 2\)\); use the'
    ) as e:
        load(made.folder, device='cpu')
    assert '\n' not in str(e.value)
