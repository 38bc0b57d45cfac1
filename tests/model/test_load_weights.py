"""Files that are not like the model their config describes: mixed widths, quantised heads, tied embeddings, odd biases.

The right answer is that of the tiny model whose changed linears are ordinary ones, with the weights that were packed.
"""

import numpy as np
import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import PackedLinear, dequantize
from airoboros_gptq.preflight.folder_summary import read_summary
from support import PLAIN, TINY, copy_tiny, edit_json, edit_tensors, pack

IDS = torch.tensor([[1, 22172, 29901, 306, 626, 263]]) % 512
GATE, UP, DOWN = (f'model.layers.1.mlp.{n}_proj' for n in ('gate', 'up', 'down'))
HEAD, EMBEDDINGS = 'lm_head', 'model.embed_tokens'


def quantised(weight, bits, group_size, act_order=False, dtype=torch.float16):
    """(a linear's tensors by part, the weight that they stand for), both of `weight` [N, K] rounded to the nearest."""
    columns, rows = weight.shape
    size = rows if group_size == -1 else group_size
    g_idx = torch.arange(rows) // size
    if act_order:
        g_idx = g_idx[torch.randperm(rows, generator=torch.Generator().manual_seed(0))]
    groups = int(g_idx.max()) + 1
    middle = 2 ** (bits - 1)
    w = weight.float().t()
    scales = torch.stack([w[g_idx == g].abs().amax(0) for g in range(groups)]).clamp(min=1e-5) / (middle - 0.5)
    scales = scales.to(dtype)
    q = (w / scales.float()[g_idx] + middle).round().clamp(0, 2 * middle - 1)
    zeros = pack(np.full((columns, groups), middle - 1), bits).T
    parts = {
        'qweight': torch.from_numpy(pack(q.long().numpy(), bits)),
        'qzeros': torch.from_numpy(zeros.copy()),
        'scales': scales,
        'g_idx': g_idx.int(),
    }
    return parts, (scales.float()[g_idx] * (q - middle)).t()


def module(model, name):
    parent, _, leaf = name.rpartition('.')
    return model.get_submodule(parent), leaf


def weight_of(model, name):
    """The weight [N, K] of a linear of the tiny model."""
    linear = model.get_submodule(name)
    if not isinstance(linear, GPTQLinear):
        return linear.weight.detach().clone()
    k = linear.kernel
    return dequantize(PackedLinear(k.qweight, k.qzeros, k.scales, k.g_idx), linear.spec).t()


def put_linear(model, name, weight, bias=None):
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight.data = weight.float()
    if bias is not None:
        linear.bias.data = bias.float()
    setattr(*module(model, name), linear)


def put_parts(tensors, name, parts):
    for key in [k for k in tensors if k.rpartition('.')[0] == name]:
        del tensors[key]
    tensors.update({f'{name}.{part}': t for part, t in parts.items()})


@pytest.fixture
def right():
    """A tiny model of one's own, to put ordinary linears into."""
    return load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu')[0]


def logits(model):
    with torch.inference_mode():
        return model(IDS).logits.float()


def assert_same(folder, right):
    """The folder's model computes what `right` does, with either kernel; returns it as the reference loads it."""
    model, _ = load(folder, kernel='reference', device='cpu')
    expected = logits(right)
    assert (logits(model) - expected).norm() / expected.norm() < 1e-5
    fast, _ = load(folder, device='cpu')
    assert (logits(fast) - expected).norm() / expected.norm() < 2e-2
    return model


@pytest.mark.parametrize('listed', [True, False], ids=['dynamic', 'not even listed'])
def test_widths_group_sizes_and_orders_may_differ_by_module(tiny_copy, right, listed):
    changes = {
        GATE: (8, 32, False),
        UP: (3, 64, True),
        DOWN: (2, -1, False),
        'model.layers.0.mlp.up_proj': (4, 16, True),
    }
    plain = 'model.layers.2.self_attn.q_proj'

    def change(tensors):
        for name, how in changes.items():
            parts, weight = quantised(weight_of(right, name), *how)
            put_parts(tensors, name, parts)
            put_linear(right, name, weight)
        put_parts(tensors, plain, {'weight': weight_of(right, plain).half()})
        put_linear(right, plain, weight_of(right, plain).half())

    edit_tensors(tiny_copy / PLAIN, change)
    if listed:
        rules = {'+:.*mlp.gate': {'bits': 8, 'group_size': 32}, f'-:{plain}': {}}
        edit_json(tiny_copy / 'quantize_config.json', dynamic=rules)
    model = assert_same(tiny_copy, right)
    assert {model.get_submodule(n).spec.bits for n in changes} == {2, 3, 4, 8}
    assert type(model.get_submodule(plain)) is torch.nn.Linear
    told = {f.name: f.value for f in read_summary(tiny_copy).lines}
    assert set(told['bits'].split(', ')) == set('2348') and told['act-order'] == 'yes'


@pytest.mark.parametrize('bits', [4, 8])
def test_a_quantised_lm_head(tiny_copy, right, bits):
    parts, weight = quantised(weight_of(right, HEAD), bits, 128)
    edit_tensors(tiny_copy / PLAIN, lambda t: put_parts(t, HEAD, parts))
    edit_json(tiny_copy / 'quantize_config.json', lm_head=True)
    put_linear(right, HEAD, weight)
    assert type(assert_same(tiny_copy, right).lm_head) is GPTQLinear


def tied(folder, right):
    """As if the model had been trained so: its embeddings are its head."""
    edit_json(folder / 'config.json', tie_word_embeddings=True)
    shared = weight_of(right, EMBEDDINGS)
    put_linear(right, HEAD, shared)
    return shared


@pytest.mark.parametrize('kept', [('embed',), ('lm_head',), ('embed', 'lm_head')], ids=' and '.join)
def test_tied_embeddings(tiny_copy, right, kept):
    shared = tied(tiny_copy, right)

    def change(tensors):
        tensors[f'{HEAD}.weight'] = shared.half()
        if 'embed' not in kept:
            del tensors[f'{EMBEDDINGS}.weight']
        if 'lm_head' not in kept:
            del tensors[f'{HEAD}.weight']

    edit_tensors(tiny_copy / PLAIN, change)
    model = assert_same(tiny_copy, right)
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_tied_embeddings_that_the_file_refutes(tiny_copy, right):
    edit_json(tiny_copy / 'config.json', tie_word_embeddings=True)
    model = assert_same(tiny_copy, right)
    assert model.config.tie_word_embeddings is False


def test_a_quantised_head_over_tied_embeddings(tiny_copy, right):
    parts, weight = quantised(tied(tiny_copy, right), 4, 64)
    edit_tensors(tiny_copy / PLAIN, lambda t: put_parts(t, HEAD, parts))
    put_linear(right, HEAD, weight)
    model = assert_same(tiny_copy, right)
    assert type(model.lm_head) is GPTQLinear and not list(model.lm_head.parameters())


def test_untied_without_a_head_the_embeddings_serve(tiny_copy, right, caplog):
    """Quantisers write such folders of tied models (sglang#2935); from_pretrained() makes up a head of random numbers."""
    edit_tensors(tiny_copy / PLAIN, lambda t: t.pop(f'{HEAD}.weight'))
    put_linear(right, HEAD, weight_of(right, EMBEDDINGS))
    assert assert_same(tiny_copy, right).config.tie_word_embeddings
    assert 'has no lm_head' in caplog.text and 'the embeddings serve as one' in caplog.text


@pytest.mark.parametrize('zero', [True, False], ids=['all zero', 'not zero'])
def test_biases_on_a_model_that_has_none(tiny_copy, right, zero):
    bias = torch.zeros(768) if zero else torch.linspace(-1, 1, 768)
    edit_tensors(tiny_copy / PLAIN, lambda t: t.update({f'{UP}.bias': bias.half()}))
    put_linear(right, UP, weight_of(right, UP), bias.half())
    assert_same(tiny_copy, right)


def test_a_bias_that_the_model_has_and_the_file_lacks_is_an_error(tiny_copy):
    edit_json(tiny_copy / 'config.json', mlp_bias=True)
    edit_tensors(tiny_copy / PLAIN, lambda t: [t.pop(n) for n in list(t) if n.endswith('.bias')])
    with pytest.raises(GPTQError, match=r'lacks the tensor model\.layers\.0\.mlp\.\w+\.bias; download it again'):
        load(tiny_copy, device='cpu')


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float32])
def test_scales_of_other_dtypes(tiny_copy, right, dtype):
    parts, weight = quantised(weight_of(right, UP), 4, 128, dtype=dtype)
    edit_tensors(tiny_copy / PLAIN, lambda t: put_parts(t, UP, parts))
    put_linear(right, UP, weight)
    assert_same(tiny_copy, right)


@pytest.mark.parametrize('g_idx', [True, False])
@pytest.mark.parametrize(('bits', 'width'), [(4, 328), (4, 344), (2, 336), (8, 332), (3, 352)])
def test_sizes_that_are_no_multiples(tmp_path, right, bits, width, g_idx):
    """`width` is a K whose last group of 128 is short, and an N that no kernel's tiles divide."""
    folder = copy_tiny(tmp_path / 'tiny', PLAIN)
    edit_json(folder / 'config.json', intermediate_size=width)

    def change(tensors):
        for layer in range(5):
            for name in ('gate_proj', 'up_proj', 'down_proj'):
                name = f'model.layers.{layer}.mlp.{name}'
                weight = weight_of(right, name)
                weight = weight[:, :width] if name.endswith('down_proj') else weight[:width]
                parts, weight = quantised(weight, bits, 128)
                if not g_idx:
                    del parts['g_idx']
                put_parts(tensors, name, parts)
                put_linear(right, name, weight)

    edit_tensors(folder / PLAIN, change)
    assert_same(folder, right)
