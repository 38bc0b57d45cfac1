"""A download that stopped leaves zeros where numbers belong, or a file without a buffer: refused; honest zeros are loaded."""

import re

import made_models
import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.model.never_filled import check_filled, is_offset_norm, zero_run
from small_configs import CAUSAL, build, has
from support import ACT_ORDER, copy_tiny, edit_tensors

LAYER = 'model.layers.1'
UP = f'{LAYER}.mlp.up_proj'
ONE_OF_EACH = [
    *('model.embed_tokens.weight', 'lm_head.weight', 'model.norm.weight', f'{LAYER}.input_layernorm.weight'),
    *(f'{UP}.{part}' for part in ('qweight', 'qzeros', 'scales', 'g_idx')),
    f'{LAYER}.mlp.down_proj.g_idx',
]


@pytest.fixture
def act_order(tmp_path):
    return copy_tiny(tmp_path / 'airoboros-tiny', ACT_ORDER)


def load_cpu(folder):
    return load(folder, device='cpu', kernel='reference', dtype='float32', progress=lambda done, total: None)[0]


def refusal(folder):
    with pytest.raises(GPTQError) as raised:
        load_cpu(folder)
    return str(raised.value)


@pytest.mark.parametrize('name', ONE_OF_EACH)
def test_a_tensor_of_zeros(act_order, name):
    edit_tensors(act_order / ACT_ORDER, lambda tensors: tensors[name].zero_())
    assert re.search(
        rf'{re.escape(ACT_ORDER)}.* holds {name} with .*zeros.*interrupted; download it', refusal(act_order)
    )


def zero_from(tensor, share):
    """Zeros from the middle of a row on, after `share` of the tensor."""
    flat = tensor.view(-1)
    flat[int(len(flat) * share) // tensor.shape[-1] * tensor.shape[-1] + tensor.shape[-1] // 2 :] = 0


@pytest.mark.parametrize('name', ['model.embed_tokens.weight', 'lm_head.weight', f'{UP}.qweight'])
@pytest.mark.parametrize('share', [0.1, 0.7])
def test_a_tensor_whose_end_is_missing(act_order, name, share):
    edit_tensors(act_order / ACT_ORDER, lambda tensors: zero_from(tensors[name], share))
    assert re.search(rf'holds {name} with \d+ bytes of zeros in its midst: .*download it', refusal(act_order))


@pytest.mark.parametrize('kept', [256, 300, 511])
def test_a_g_idx_whose_end_is_missing(act_order, kept):
    name = f'{LAYER}.mlp.down_proj.g_idx'
    edit_tensors(act_order / ACT_ORDER, lambda tensors: tensors[name][kept - 256 :].zero_())
    assert f'holds {name} with zeros where groups belong' in refusal(act_order)


def test_honest_zeros(act_order):
    """A vocabulary's padding and unused tokens, and biases."""

    def change(tensors):
        for name in ('model.embed_tokens.weight', 'lm_head.weight'):
            tensors[name][900:] = 0
            tensors[name][600:800] = 0
        tensors[f'{UP}.bias'] = torch.zeros(768).half()

    edit_tensors(act_order / ACT_ORDER, change)
    load_cpu(act_order)


@pytest.mark.parametrize(('checkpoint_format', 'zeros'), [('gptq', -1), ('gptq_v2', 0)])
def test_a_linear_that_a_merge_switched_off(act_order, checkpoint_format, zeros):
    name = f'{LAYER}.mlp.down_proj'

    def change(tensors):
        tensors[f'{name}.qweight'].zero_()
        tensors[f'{name}.qzeros'].fill_(zeros)
        tensors[f'{name}.scales'].fill_(1e-5)

    edit_tensors(act_order / ACT_ORDER, change)
    load(act_order, device='cpu', kernel='reference', dtype='float32', checkpoint_format=checkpoint_format)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.int32, torch.uint8])
def test_where_the_zeros_are(dtype):
    value = torch.ones(500, 300).to(dtype)
    size = value.numel() * value.element_size()
    assert zero_run(value) == (0, 0, size)
    assert zero_run(torch.zeros_like(value)) == (0, size, size)
    value.view(-1)[30_000:120_001] = 0
    begin, end, _ = zero_run(value)
    assert abs(begin - 30_000 * value.element_size()) < 8 and abs(end - 120_001 * value.element_size()) < 8
    value[:] = 0
    value.view(-1)[149_999] = 1
    assert zero_run(value)[:2] != (0, size)


def test_columns_that_are_zero_throughout_are_no_gap():
    """As where a hidden size is padded: the rows of unused tokens then end and begin within such columns."""
    value = torch.randn(2000, 512).half()
    value[:, 400:] = 0
    value[:, :60] = 0
    value[500:900] = 0
    check_filled(value, 'model.embed_tokens.weight', 'm.safetensors')
    value[499, 200:] = 0
    with pytest.raises(GPTQError, match='in its midst'):
        check_filled(value, 'model.embed_tokens.weight', 'm.safetensors')


@pytest.mark.parametrize('model_type', sorted(CAUSAL))
def test_norms_that_may_be_zero_are_those_whose_code_adds_one(model_type):
    if not has(model_type):
        pytest.skip('this transformers does not have it')
    import inspect

    tried = 0
    for module in {type(m): m for m in build(model_type).modules()}.values():
        weight = module._parameters.get('weight')
        if weight is not None and weight.dim() == 1:
            source = '' if type(module).__module__.startswith('torch.') else inspect.getsource(type(module))
            adds_one = re.search(r'1(\.0)? \+ self\.weight|self\.weight \+ 1', source)
            assert is_offset_norm(module) is bool(adds_one), type(module)
            tried += 1
    assert tried or model_type == 'olmo'


@pytest.mark.skipif(not has('gemma2'), reason='this transformers does not have it')
def test_a_norm_that_adds_one_may_be_zero(tmp_path):
    made = made_models.make(tmp_path, build('gemma2'))
    made.edit_tensors(lambda tensors: [t.zero_() for name, t in tensors.items() if 'norm' in name])
    load_cpu(made.folder)


BIASED = {'deepseek_v3': 'e_score_correction_bias', 'glm4_moe': 'e_score_correction_bias', 'lfm2_moe': 'expert_bias'}


@pytest.mark.parametrize('model_type', sorted(BIASED))
def test_a_router_without_its_bias(tmp_path, monkeypatch, model_type):
    if not has(model_type):
        pytest.skip('this transformers does not have it')
    made = made_models.make(tmp_path, build(model_type))
    load_cpu(made.folder)  # a bias of zeros is one
    made.edit_tensors(lambda tensors: [tensors.pop(n) for n in list(tensors) if n.endswith(BIASED[model_type])])
    monkeypatch.setattr('airoboros_gptq.model.build.load_weights', None)  # said before weights are read
    assert re.search(rf'lacks the tensor [\w.]+\.{BIASED[model_type]}; download it again', refusal(made.folder))
