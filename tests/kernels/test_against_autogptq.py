"""Every combination that AutoGPTQ's QuantLinear.pack writes, on fresh random weights, against its own forward."""

import secrets
from itertools import product

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.auto_gptq import _import_qlinear
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import PackedLinear
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
    module = _import_qlinear('qlinear_cuda' if act_order else 'qlinear_cuda_old')
    made = module(bits, group_size, ROWS, COLUMNS, True, weight_dtype=torch.float32)
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
