"""A quantised tensor whose place is not a plainly called nn.Linear: it is found a place all the same."""

import pytest
import torch
import transformers
from airoboros_gptq import GPTQError, load
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.model.linear_places import is_plain_linear, is_read_by_weight
from made_models import ROUTERS, compare, expected, make, same_text
from small_configs import build, has

IS_BEFORE_5 = int(transformers.__version__.partition('.')[0]) < 5
ROUTED = {
    **{
        'qwen2_moe': 'mlp.gate',
        'qwen3_moe': 'mlp.gate',
        'mixtral': 'mlp.gate',
        'olmoe': 'mlp.gate',
        'minimax_m2': 'mlp.gate',
    },
    **{'qwen3_next': 'mlp.gate', 'deepseek_v2': 'mlp.gate', 'deepseek_v3': 'mlp.gate', 'glm4_moe': 'mlp.gate'},
    **{
        'ernie4_5_moe': 'mlp.gate',
        'gpt_oss': 'mlp.router',
        'phimoe': 'mlp.router',
        'llama4_text': 'feed_forward.router',
    },
}


def loaded(made, **settings):
    return load(made.folder, device='cpu', kernel='reference', dtype='float32', **settings)[0]


@pytest.mark.parametrize('model_type', ROUTED)
def test_a_quantised_router_chooses_as_its_dequantised_twin(model_type, tmp_path):
    if not has(model_type):
        pytest.skip(f'transformers {transformers.__version__} has no {model_type}')
    made = make(tmp_path, build(model_type), pattern=ROUTERS)
    assert any(name.endswith(('.gate', '.router')) for name in made.quantised)
    model, twin = loaded(made), expected(made)
    assert compare(model, twin) < 1e-5
    assert same_text(model, twin)


@pytest.mark.parametrize('model_type', ['gpt2', 'falcon', 'bloom', 'gpt_bigcode', 'opt'])
def test_what_computes_as_a_linear_stays_quantised(model_type, tmp_path):
    """GPT-2's Conv1D, whose weight is transposed, Falcon's own linear, and BLOOM's, into which unused code looks."""
    made = make(tmp_path, build(model_type))
    model = loaded(made)
    assert sum(isinstance(m, GPTQLinear) for m in model.modules()) == len(made.quantised) > 0
    assert compare(model, expected(made)) < 1e-5


class Doubling(torch.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Choosing(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x).topk(2)


class Renamed(torch.nn.Linear):
    def forward(self, input):
        return input @ self.weight.T + self.bias


def test_a_module_is_known_by_what_it_computes():
    conv = transformers.pytorch_utils.Conv1D(6, 4)
    assert [is_plain_linear(m) for m in (torch.nn.Linear(4, 6), conv, Renamed(4, 6))] == [True] * 3
    norm, table = torch.nn.LayerNorm(4), torch.nn.Embedding(4, 6)
    assert not any(is_plain_linear(m) for m in (Doubling(4, 6), Choosing(4, 6), norm, table, torch.nn.Identity()))


class Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.called, self.measured = (torch.nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        x = torch.nn.functional.linear(x, self.gate.weight) + self.called(x) * self.called.weight.sum()
        return self.measured(x).to(self.measured.weight.dtype)


def test_a_linear_that_is_only_looked_into_is_told_by_the_source():
    model = torch.nn.Sequential(Reader())
    assert [is_read_by_weight(model, f'0.{n}') for n in ('gate', 'called', 'measured')] == [True, False, False]


def test_a_router_of_another_size_is_told(tmp_path):
    made = make(tmp_path, build('qwen3_moe'), pattern=ROUTERS)
    made.edit_config(num_experts=16, num_local_experts=16)
    with pytest.raises(GPTQError, match=r'holds model\.layers\.\d\.mlp\.\w+.* belongs to another model'):
        loaded(made)


@pytest.mark.skipif(IS_BEFORE_5, reason='before transformers 5 a router was a linear, which has a place for it')
def test_a_bias_that_a_router_has_no_place_for(tmp_path):
    made = make(tmp_path, build('qwen3_moe'), pattern=ROUTERS)
    gate = next(n for n in made.quantised if n.endswith('.gate'))
    made.edit_tensors(lambda t: t.update({f'{gate}.bias': torch.zeros(32)}))
    assert compare(loaded(made), expected(made)) < 1e-5
    made.edit_tensors(lambda t: t.update({f'{gate}.bias': torch.ones(32)}))
    with pytest.raises(GPTQError, match='no place for'):
        loaded(made)
