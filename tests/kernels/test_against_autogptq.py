"""AutoGPTQ's own pack and forward against every kernel: weights that it packed, and random words that both read."""

import secrets
from itertools import product

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import PackedLinear, dequantize
from autogptq import quant_linear, quant_linear_class
from random_linears import random_packed, rows
from support import AUTO_GPTQ, NO_AUTO_GPTQ, cpu_kernel, pack

pytestmark = pytest.mark.skipif(not AUTO_GPTQ, reason=NO_AUTO_GPTQ)

ROWS, COLUMNS = 2048, 64
BITS, GROUP_SIZES = (2, 3, 4, 8), (16, 32, 64, 128, 1024, -1)
# Relative to the norm of AutoGPTQ's answer, which is in fp32.
TOLERANCE = {'reference': 2e-6, 'torch-int4': 1e-2, 'native-cpu': 1e-4}
KERNELS = [k for k in TOLERANCE if k != 'native-cpu' or cpu_kernel() == k]


def written(bits, group_size, act_order, sym, seed):
    """(its module, the true zeros [G, N]) after AutoGPTQ packed random weights. A zero of 0 is left out: packed as -1,
    its sign bits run into the neighbours, and AutoGPTQ's two classes read it in two ways.
    """
    generator = torch.Generator().manual_seed(seed)
    size = ROWS if group_size == -1 else group_size
    top = 2**bits - 1
    g_idx = torch.arange(ROWS) // size
    if act_order:
        g_idx = g_idx[torch.randperm(ROWS, generator=generator)]
    q = torch.randint(0, top + 1, (ROWS, COLUMNS), generator=generator)
    shape = (ROWS // size, COLUMNS)
    zeros = torch.full(shape, (top + 1) // 2) if sym else torch.randint(1, top + 1, shape, generator=generator)
    scales = (torch.rand(shape, generator=generator) * 0.02 + 0.01).half().float()
    linear = torch.nn.Linear(ROWS, COLUMNS)
    linear.bias.data = torch.randn(COLUMNS, generator=generator)
    linear.weight.data = (scales[g_idx] * (q - zeros[g_idx])).t().contiguous()
    made = quant_linear_class(act_order)(bits, group_size, ROWS, COLUMNS, True, weight_dtype=torch.float32)
    made.pack(linear, scales.t().contiguous(), zeros.t().contiguous().float(), g_idx.int())
    return made, zeros


@pytest.fixture(scope='module')
def tally():
    worst = {}
    yield worst
    for kernel, found in worst.items():
        print(f'\n{kernel}: {len(found)} combinations, largest deviation {max(found):.1e}')


@pytest.mark.parametrize('bits', BITS)
@pytest.mark.parametrize('group_size', GROUP_SIZES)
def test_computes_what_autogptq_computes(tally, bits, group_size, record_property):
    found_here = {kernel: [] for kernel in KERNELS}
    for act_order, sym in product((False, True), (False, True)):
        seed = secrets.randbelow(2**31)
        made, zeros = written(bits, group_size, act_order, sym, seed)
        x = torch.randn(3, ROWS, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            right = made(x)
        size = ROWS if group_size == -1 else group_size
        for form, g_idx in product(('gptq', 'gptq_v2'), (True, False)):
            if not g_idx and act_order:
                continue
            # v2 is what v1 is, but for the zeros, which stand there as they are.
            v2 = torch.from_numpy(pack(zeros.t().numpy(), bits)).t().contiguous()
            packed = PackedLinear(
                made.qweight,
                made.qzeros if form == 'gptq' else v2,
                made.scales.half(),
                made.g_idx.int() if g_idx else None,
            )
            spec = LinearSpec(ROWS, COLUMNS, bits, size, act_order and size < ROWS, form)
            for kernel in KERNELS:
                if kernel == 'torch-int4' and size == 16:
                    continue
                found = GPTQLinear(packed, spec, made.bias, kernel)(x)
                deviation = ((found - right).norm() / right.norm()).item()
                tally.setdefault(kernel, []).append(deviation)
                found_here[kernel].append(deviation)
                assert deviation < TOLERANCE[kernel], (seed, act_order, sym, form, g_idx, kernel, deviation)
    for kernel, deviations in found_here.items():
        record_property(f'{kernel} combinations', len(deviations))
        record_property(f'{kernel} deviation', max(deviations, default=0.0))


@pytest.mark.parametrize('bits', BITS)
@pytest.mark.parametrize('group_size', [32, 64, 128, 256, 512])  # 512 is what -1 becomes for 512 rows
@pytest.mark.parametrize('desc_act', [False, True])
@pytest.mark.parametrize('sym', [True, False])
def test_random_words_mean_the_same_to_autogptq(bits, group_size, desc_act, sym):
    desc_act = desc_act and group_size < 512
    if not sym and (desc_act or bits == 3):
        pytest.skip('AutoGPTQ reads a zero point of 0 as 2**bits with act-order, and of 3 bits')
    spec = LinearSpec(512, 96, bits, group_size, desc_act)
    packed, x = random_packed(spec, sym), rows(spec, 3)
    found, right = x @ dequantize(packed, spec), quant_linear(packed, spec)(x)
    assert torch.dist(found, right) < TOLERANCE['reference'] * right.norm()


def test_a_stored_zero_of_15_is_0_to_autogptq():
    """What it packs for a zero point of 0, and what its class for files without act-order reads back."""
    spec = LinearSpec(128, 32, 4, 32, False)
    packed, x = random_packed(spec), rows(spec, 2)
    packed.qzeros.fill_(-1)
    found, right = x @ dequantize(packed, spec), quant_linear(packed, spec)(x)
    assert torch.dist(found, right) < TOLERANCE['reference'] * right.norm()
