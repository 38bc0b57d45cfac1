"""Which module goes to which device, and a model whose parts lie apart."""

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.model.device_map import connect_devices, device_of, split_model
from airoboros_gptq.model.load_plan import make_plan
from airoboros_gptq.model.skeleton import make_skeleton
from airoboros_gptq.preflight.folder_summary import read_summary
from support import TINY, greedy, synthetic

IDS = torch.tensor([[1, 319, 13, 563, 77, 402, 9, 250, 31]])
QUESTION = (
    "A chat between a curious user and an assistant. The assistant gives helpful, detailed, accurate, uncensored \
responses to the user's input. USER: What is 3 plus 4? ASSISTANT: "
)
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device on this machine')


@pytest.fixture(scope='module')
def wide(tmp_path_factory):
    """The skeleton and the linears of a model of 28 layers, 6.1 MB each as it will stand in memory, and 2 MB twice."""
    folder = tmp_path_factory.mktemp('wide') / 'wide-GPTQ'
    synthetic(folder)
    plan = make_plan(read_summary(folder), 'cpu', torch.bfloat16)
    return make_skeleton(plan), plan.specs


def layers_on(devices, device):
    return [int(name.rpartition('.')[2]) for name, d in devices.items() if '.layers.' in name and str(d) == device]


def test_whole_layers_fill_one_device_after_the_other(wide):
    model, specs = wide
    devices = split_model(model, specs, torch.bfloat16, {0: '90MB', 1: '70MB', 'cpu': '1GB'})
    first, second, rest = (layers_on(devices, d) for d in ('cuda:0', 'cuda:1', 'cpu'))
    assert first + second + rest == list(range(28))
    # Quantised, not as the floats of the skeleton, of which 90 MB would hold three layers.
    assert 10 <= len(first) <= 14 and 7 <= len(second) <= 11 and rest
    assert device_of('model.layers.0.self_attn.q_proj', devices) == torch.device('cuda:0')
    assert all(hasattr(type(model.get_submodule(name)), 'forward') for name in devices)  # a list is never called
    assert device_of('lm_head.weight', devices) == torch.device('cpu')


def test_one_gpu_that_holds_it_all_gets_it_all(wide):
    model, specs = wide
    assert split_model(model, specs, torch.bfloat16, {0: '10GiB', 'cpu': '10GiB'}) == {'': torch.device('cuda:0')}


def test_what_does_not_fit_and_what_cannot_be_read_is_one_sentence(wide):
    model, specs = wide
    with pytest.raises(GPTQError, match='does not fit into 20MB on GPU 0, 30MB on cpu; allow more'):
        split_model(model, specs, torch.bfloat16, {0: '20MB', 'cpu': '30MB'})
    with pytest.raises(GPTQError, match='sevenGiB on GPU 0 cannot be read'):
        split_model(model, specs, torch.bfloat16, {0: 'sevenGiB'})


def test_parts_that_lie_apart_answer_as_one(load_tiny):
    """On one CPU that goes by two names: activations are carried to each part, and the answer back to where they came from."""
    right, tokenizer = load_tiny()
    model, _ = load(TINY, kernel='reference', device='cpu')
    here, there = torch.device('cpu'), torch.device('cpu', 0)
    carried = []
    layers = {f'model.layers.{i}': here if i < 2 else there for i in range(5)}
    connect_devices(model, {'model.embed_tokens': here, **layers, 'model.norm': there, 'lm_head': there})
    for name in layers:
        model.get_submodule(name).mlp.register_forward_pre_hook(lambda module, args: carried.append(args[0].device))
    with torch.inference_mode():
        assert torch.equal(model(IDS).logits, right(IDS).logits)
    assert len(carried) == 5
    assert {'model.layers.4', 'lm_head'} <= model.hf_device_map.keys()
    assert model.gptq.description == 'reference on cpu and cpu:0, float32'
    assert greedy(model, tokenizer, QUESTION) == '3 plus 4 is 7.'


@cuda
@pytest.mark.parametrize('kernel', ['auto', 'reference'])
@pytest.mark.parametrize('limit', [1_400_000, 2_000_000])  # embeddings alone, two layers as well
@pytest.mark.parametrize('other', ['cpu', 1])
def test_half_on_the_gpu_and_half_elsewhere(kernel, limit, other, load_tiny):
    if other == 1 and torch.cuda.device_count() < 2:
        pytest.skip('one GPU')
    model, tokenizer = load(TINY, kernel=kernel, max_memory={0: limit, other: '1GiB'})
    places = {str(p.device) for p in model.parameters()} | {str(b.device) for b in model.buffers()}
    there = 'cpu' if other == 'cpu' else 'cuda:1'
    assert places == {'cuda:0', there}
    assert f'cuda:0 and {there}' in model.gptq.description
    with torch.inference_mode():
        found, right = model(IDS).logits.float().cpu(), load_tiny()[0](IDS).logits.float()
    assert ((found - right).norm() / right.norm()).item() < 2e-2
    assert greedy(model, tokenizer, QUESTION) == '3 plus 4 is 7.'
