"""Each of peft's methods on quantised linears: what it computes and learns is what it does on the same model, dequantised, or it
is refused in one sentence. The methods are those of the installed peft.
"""

import copy
import dataclasses
import functools

import pytest
import torch
from airoboros_gptq import GPTQError, load
from made_models import expected, make
from small_configs import build

peft = pytest.importorskip('peft', reason='peft is not installed')
mapping = pytest.importorskip('peft.mapping')

IDS = torch.arange(3, 15)[None]
TARGETS = ['q_proj', 'down_proj']
NEEDED = {  # what a method does not run without
    'ADALORA': {'total_step': 10, 'tinit': 1, 'tfinal': 2},
    'BOFT': {'boft_block_size': 4},
    'C3A': {'block_size': 16},
    'FOURIERFT': {'n_frequency': 20},
    'IA3': {'feedforward_modules': ['down_proj']},
    'OFT': {'oft_block_size': 32, 'r': 0},
    'PSOFT': {'r': 8},
    'VBLORA': {'num_vectors': 8, 'vector_length': 32},
}
ELSEWHERE = {  # these do not touch linears, or run with a data set or other adapters alone
    'ADAPTION_PROMPT',
    'POLY',
    'SHADOW',
    'TRAINABLE_TOKENS',
    'XLORA',
}
LORAS = {
    **{f'init {i}': {'init_lora_weights': i} for i in (True, False, 'gaussian', 'eva', 'orthogonal', 'lora_ga')},
    **{f'init {i}': {'init_lora_weights': i} for i in ('olora', 'pissa', 'pissa_niter_4')},
    'init loftq': {'init_lora_weights': 'loftq', 'loftq_config': {'loftq_bits': 4}},
    'dora': {'use_dora': True, 'init_lora_weights': False},
    'rslora': {'use_rslora': True},
    'all-linear': {'target_modules': 'all-linear', 'init_lora_weights': False},
    'modules_to_save': {'modules_to_save': ['k_proj', 'lm_head']},
    'bias': {'bias': 'all'},
    'lora_bias': {'lora_bias': True},
    'layer_replication': {'layer_replication': [(0, 2), (1, 2)]},
    'alora': {'alora_invocation_tokens': [7, 8]},
    'qalora': {'use_qalora': True, 'qalora_group_size': 32},
    'trainable_token_indices': {'trainable_token_indices': [3, 4]},
}
REFUSED = {  # these write into the base weight, or take no subclass of nn.Linear; all others must work
    **dict.fromkeys(
        [f'init {i}' for i in ('olora', 'pissa', 'pissa_niter_4', 'loftq', 'corda')],
        'weight of a quantised linear cannot be written',
    ),
    'GLORA': 'is not a plain torch.nn.Linear',
}


def methods():
    """{name: config} of all that the installed peft puts on linears."""
    found = {}
    for kind, config in mapping.PEFT_TYPE_TO_CONFIG_MAPPING.items():
        name = kind.value
        if name not in ELSEWHERE and 'target_modules' in {f.name for f in dataclasses.fields(config)}:
            found[name] = functools.partial(config, target_modules=TARGETS, **NEEDED.get(name, {}))
    known = {f.name for f in dataclasses.fields(peft.LoraConfig)}
    for name, settings in LORAS.items():
        if settings.keys() <= known:
            found[f'LORA {name}'] = functools.partial(peft.LoraConfig, **{'r': 4, 'target_modules': TARGETS} | settings)
    return found


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    """(a model with quantised linears, some with a bias; the dequantised one in plain transformers)."""
    made = make(tmp_path_factory.mktemp('peft'), build('llama', attention_bias=True))
    return load(made.folder, device='cpu', kernel='reference', dtype='float32')[0], expected(made)


@pytest.fixture(autouse=True)
def no_cuda_extension(monkeypatch):
    """BOFT would compile one, and do without where it cannot."""
    boft = pytest.importorskip('peft.tuners.boft.layer')
    if hasattr(boft, 'get_fbd_cuda'):
        monkeypatch.setattr(boft, 'get_fbd_cuda', lambda: None)


def learn(model, config):
    """(logits, gradients by name) of `model` with a trained adapter, one of random numbers."""
    torch.manual_seed(0)
    wrapped = peft.get_peft_model(copy.deepcopy(model), config)
    torch.manual_seed(1)
    with torch.no_grad():
        for _, p in sorted(wrapped.named_parameters()):
            if p.requires_grad and p.is_floating_point():
                p.add_(torch.randn_like(p) * 0.02)
    output = wrapped.eval()(IDS, labels=IDS)
    output.loss.backward()
    return output.logits.detach(), {n: p.grad for n, p in wrapped.named_parameters() if p.requires_grad}


def deviation(found, right):
    with torch.no_grad():
        return float((found - right).norm() / right.norm())


@pytest.mark.parametrize('name', methods())
@pytest.mark.filterwarnings('ignore')
def test_a_method_does_what_it_does_on_the_dequantised_model(name, pair):
    ours, twin = pair
    config = functools.partial(methods()[name], task_type='CAUSAL_LM')
    try:
        logits, gradients = learn(twin, config())
    except (ImportError, ValueError) as e:
        pytest.skip(str(e))  # this method needs another package, or this peft has no such initialisation
    if name.removeprefix('LORA ') in REFUSED:
        refuse(ours, config(), REFUSED[name.removeprefix('LORA ')])
        return
    got, got_gradients = learn(ours, config())
    assert deviation(got, logits) < 1e-5
    assert got_gradients.keys() == gradients.keys() and gradients
    for parameter, gradient in gradients.items():
        if gradient is not None and gradient.norm() > 1e-6:
            assert deviation(got_gradients[parameter], gradient) < 1e-3, parameter


def refuse(ours, config, words):
    before = ours(IDS).logits
    with pytest.raises((GPTQError, ValueError), match=words):
        learn(ours, config)
    with pytest.raises((GPTQError, ValueError), match=words):
        peft.get_peft_model(ours, config)
    assert torch.equal(ours(IDS).logits, before)


def test_corda_is_refused_when_it_has_looked_at_its_data(pair):
    """It writes what is left over into the base weight, as pissa does."""
    corda = pytest.importorskip('peft.tuners.lora.corda')
    model = copy.deepcopy(pair[0])
    settings = {'corda_config': peft.tuners.lora.config.CordaConfig(), 'init_lora_weights': 'corda'}
    config = peft.LoraConfig(r=4, target_modules=['q_proj'], task_type='CAUSAL_LM', **settings)
    corda.preprocess_corda(model, config, run_model=lambda: model(IDS))
    refuse(model, config, REFUSED['init corda'])


def test_eva_looks_at_its_data(pair):
    from torch.utils.data import DataLoader

    a, b = [], []
    for model, out in zip(pair, (a, b), strict=True):
        config = peft.LoraConfig(r=4, target_modules=TARGETS, task_type='CAUSAL_LM', init_lora_weights='eva')
        wrapped = peft.get_peft_model(copy.deepcopy(model), config)
        peft.initialize_lora_eva_weights(
            wrapped, DataLoader([{'input_ids': IDS[0]}] * 4, batch_size=2), show_progress_bar=False
        )
        out += [p.detach() for n, p in sorted(wrapped.named_parameters()) if 'lora_A' in n]
    assert len(a) == len(b) == 4
    assert all(deviation(x.abs(), y.abs()) < 1e-3 for x, y in zip(a, b, strict=True))


def test_an_adapter_of_transformers(pair):
    """model.add_adapter(), with which transformers does without a model of peft around its own."""
    logits = []
    for model in pair:
        model = copy.deepcopy(model)
        torch.manual_seed(0)
        config = peft.LoraConfig(r=4, target_modules=TARGETS, use_dora=True, init_lora_weights=False)
        try:
            model.add_adapter(config)
        except ValueError as e:
            pytest.skip(str(e))  # this transformers asks for a newer peft
        logits.append(model(IDS).logits)
        assert deviation(logits[-1], pair[1](IDS).logits) > 0.01
    assert deviation(*logits) < 1e-5
