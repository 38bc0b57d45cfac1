"""peft's LoRAs on a quantised base: what they add is what they add to the same model, dequantised."""

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.kernels.cpu.bindings import unavailable_reason
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import PackedLinear, dequantize
from airoboros_gptq.webui.lora_dtype import kept_in_dtype
from safetensors.torch import load_file
from support import ACT_ORDER, PLAIN, TINY
from torch import nn

peft = pytest.importorskip('peft', reason='peft is not installed')

TOLERANCE = {'reference': 1e-5, 'torch-int4': 2e-2, 'native-cpu': 2e-2}  # as in test_model.py
IDS = torch.tensor([[1, 319, 13, 563, 77, 402, 9, 250, 31]])
TARGETS = ['q_proj', 'v_proj', 'o_proj', 'gate_proj', 'down_proj']


def make_adapter(model, folder, seed):
    """An adapter of random matrices, written as a training would leave it. `model` is left as it was."""
    torch.manual_seed(seed)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type='CAUSAL_LM')
    wrapped = peft.get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if 'lora_' in name:
            nn.init.normal_(parameter, std=0.2)
    wrapped.save_pretrained(folder)
    wrapped.unload()
    return folder


def dequantised(checkpoint):
    """The same model with an nn.Linear, its weight in plain floats, wherever the file has a quantised one."""
    model, _ = load(TINY, checkpoint=checkpoint, kernel='reference', device='cpu')
    tensors = load_file(TINY / checkpoint)
    for name, module in list(model.named_modules()):
        if isinstance(module, GPTQLinear):
            parts = {p: tensors[f'{name}.{p}'] for p in ('qweight', 'qzeros', 'scales', 'g_idx')}
            plain = nn.Linear(module.in_features, module.out_features, bias=False)
            plain.weight = nn.Parameter(dequantize(PackedLinear(**parts), module.spec).T, requires_grad=False)
            model.set_submodule(name, plain)
    return model


def skip_without(kernel):
    """native-cpu needs a compiler on this machine."""
    if kernel == 'native-cpu' and (reason := unavailable_reason()):
        pytest.skip(reason)


def logits(model):
    with torch.inference_mode():
        return model(IDS).logits.float()


def deviation(found, right):
    return ((found - right).norm() / right.norm()).item()


@pytest.fixture(
    params=[(k, c) for k in TOLERANCE for c in (PLAIN, ACT_ORDER)],
    ids=lambda p: f'{p[0]}-{"act" if p[1] == ACT_ORDER else "no-act"}',
)
def pair(request):
    """(our model, the dequantised one, the tolerance between them)."""
    kernel, checkpoint = request.param
    skip_without(kernel)
    model, _ = load(TINY, checkpoint=checkpoint, kernel=kernel, device='cpu', dtype=torch.float32)
    return model, dequantised(checkpoint), TOLERANCE[kernel]


@pytest.fixture
def adapters(tmp_path):
    model, _ = load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu')
    return [make_adapter(model, tmp_path / name, seed) for seed, name in enumerate(('first', 'second'))]


def test_applied_stacked_and_removed(pair, adapters):
    """The steps of the webui's LoRA menu."""
    ours, right, tolerance = pair
    bare = logits(ours)
    ours, right = (peft.PeftModel.from_pretrained(m, adapters[0], adapter_name='first') for m in (ours, right))
    one = logits(right)
    assert deviation(logits(ours), one) < tolerance
    assert deviation(bare, one) > 0.1  # such an adapter does not get lost in a tolerance
    for model in (ours, right):
        model.load_adapter(adapters[1], 'second')
        model.add_weighted_adapter(['first', 'second'], [1, 1], '__merged')
        model.set_adapter('__merged')
    both = logits(right)
    assert deviation(logits(ours), both) < tolerance
    assert deviation(one, both) > 0.1
    assert torch.equal(logits(ours.unload()), bare)


@pytest.mark.parametrize('dora', [False, True], ids=['lora', 'dora'])
def test_a_lora_can_be_trained(pair, dora):
    """Its gradients are those of the dequantised model: through every kernel, also those that know no derivative. A DoRA reads
    the weight too.
    """
    gradients = []
    for model in pair[:2]:
        torch.manual_seed(0)
        settings = {'target_modules': TARGETS, 'task_type': 'CAUSAL_LM', 'init_lora_weights': False, 'use_dora': dora}
        config = peft.LoraConfig(r=4, **settings)
        wrapped = peft.get_peft_model(model, config)
        wrapped(IDS, labels=IDS).loss.backward()
        gradients.append({n: p.grad for n, p in wrapped.named_parameters() if p.requires_grad})
    ours, right = gradients
    assert ours.keys() == right.keys() and len(ours) == (2 + dora) * 5 * len(TARGETS)
    for name, gradient in right.items():
        assert deviation(ours[name], gradient) < max(4 * pair[2], 1e-4), name


def test_the_kernel_goes_on_to_do_the_work(adapters):
    model, _ = load(TINY, checkpoint=PLAIN, kernel='torch-int4', device='cpu')
    calls = []
    linears = [m for m in model.modules() if isinstance(m, GPTQLinear)]
    for linear in linears:
        linear.kernel.register_forward_hook(lambda *_: calls.append(1))
    logits(peft.PeftModel.from_pretrained(model, adapters[0]))
    assert len(calls) == len(linears) == 35


@pytest.mark.parametrize('kernel', TOLERANCE)
@pytest.mark.parametrize('cast', ['half', 'bfloat16', 'float'])
def test_casting_the_model_leaves_the_quantised_weights_alone(kernel, cast, load_tiny):
    """The webui says half() when it puts on a LoRA."""
    skip_without(kernel)
    right = logits(load_tiny(PLAIN, 'reference', torch.float32)[0])
    model, _ = load(TINY, checkpoint=PLAIN, kernel=kernel, device='cpu')
    model = getattr(model, cast)()
    assert model.dtype == getattr(torch, {'half': 'float16'}.get(cast, cast + '32' * (cast == 'float')))
    assert deviation(logits(model), right) < 2e-2


def test_the_webui_s_menu_leaves_the_dtype(adapters):
    """It says half() after it put a LoRA on; the adapter then has the model's dtype, and so has the model, before and after."""
    model, _ = load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu', dtype=torch.bfloat16)
    bare = logits(model)
    with kept_in_dtype(model):
        wrapped = peft.PeftModel.from_pretrained(model, adapters[0], adapter_name='first', dtype=model.dtype)
        wrapped.half()
        wrapped.to('cpu')
    assert {p.dtype for p in wrapped.parameters()} == {torch.bfloat16}
    assert deviation(logits(wrapped), bare) > 0.1
    with kept_in_dtype(wrapped):
        model = wrapped.unload()
    assert torch.equal(logits(model), bare)
    assert model.half().dtype == torch.float16  # a script may cast it
