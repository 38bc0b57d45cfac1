"""The rules against the kernels: what runs where, in which dtype, and the bytes that a weight then takes."""

import importlib.util
import itertools
import sys

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.kernels import rules
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.registry import KERNELS, select_kernel
from airoboros_gptq.kernels.rules import RULES, TRITON, Target, default_dtype, rule_for, rule_named, target_of
from airoboros_gptq.kernels.torch_int4 import TorchInt4Kernel
from airoboros_gptq.kernels.triton.kernel import TritonKernel
from airoboros_gptq.kernels.triton.weight_layout import WORDS, repack
from random_linears import random_packed
from support import cpu_kernel

CPU = torch.device('cpu')
SPECS = [
    LinearSpec(k, n, bits, k if size == -1 else size, desc_act, irregular_groups=irregular_groups)
    for k, n, bits, size, desc_act, irregular_groups in itertools.product(
        (128, 160, 192, 256, 352, 4096, 11008),
        (8, 16, 24, 40, 128, 4100, 11008),
        (2, 3, 4, 5, 8),
        (-1, 16, 32, 48, 64, 96, 128, 256, 1024),
        (False, True),
        (False, True),
    )
]
SPEC = LinearSpec(4096, 4096, 4, 128, False)
needs_triton = pytest.mark.skipif(importlib.util.find_spec('triton') is None, reason='Triton is not installed')


def test_the_rules_say_what_the_kernels_say_without_a_compiler(no_native):
    test_the_rules_say_what_the_kernels_say_on_a_cpu()


def test_the_rules_say_what_the_kernels_say_on_a_cpu():
    for spec in SPECS:
        assert rule_for('auto', spec, target_of('cpu')).name == select_kernel('auto', spec, CPU).name, spec


def test_the_rules_say_what_the_kernels_say_on_a_gpu_and_elsewhere(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (8, 0))
    for device in map(torch.device, ('cuda', 'mps')):
        for spec in SPECS:
            fits = [k.name for k in (TritonKernel, TorchInt4Kernel) if k.unsupported_reason(spec, device) is None]
            assert rule_for('auto', spec, target_of(device.type)).name == [*fits, 'reference'][0], (device, spec)


def test_dtypes_are_the_kernels():
    for kernel, device in itertools.product(KERNELS, ('cpu', 'cuda', 'mps')):
        dtype = kernel.compute_dtype(torch.device(device))
        said = rule_named(kernel.name).compute_dtype(device)
        assert (said, rules.DTYPE_BYTES[said]) == (str(dtype).removeprefix('torch.'), dtype.itemsize)


@needs_triton
@pytest.mark.parametrize(
    ('target', 'name'),
    [
        (Target('cuda'), 'triton'),  # not looked at yet
        (Target('cuda', (9, 0)), 'triton'),
        (Target('cuda', (7, 0)), 'triton'),
        (Target('cuda', (6, 1)), 'reference'),
        (Target('cuda', is_rocm=True), 'triton'),
    ],
)
def test_what_auto_takes_on_a_gpu(target, name):
    assert rule_for('auto', SPEC, target).name == name


@pytest.mark.parametrize(
    ('target', 'name'),
    [
        (Target('cuda'), 'torch-int4'),
        (Target('cuda', (8, 0)), 'torch-int4'),
        (Target('cuda', (7, 5)), 'reference'),
        (Target('cuda', is_rocm=True), 'reference'),
    ],
)
def test_what_auto_takes_on_a_gpu_without_triton(monkeypatch, target, name):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda package: None)
    assert 'Triton is not installed' in TRITON.missing_requirement(target)
    assert rule_for('auto', SPEC, target).name == name


def test_a_gpu_is_looked_at_once_torch_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: {'cuda:1': (7, 5)}[device])
    monkeypatch.setattr(torch.version, 'hip', None)
    assert target_of('cuda:1') == Target('cuda', (7, 5))
    monkeypatch.setattr(torch.version, 'hip', '7.2')
    assert target_of('cuda:1') == Target('cuda', is_rocm=True)
    monkeypatch.delitem(sys.modules, 'torch')
    assert target_of('cuda:1') == Target('cuda')


def test_a_driver_that_fails_leaves_the_gpu_unknown(monkeypatch):
    def fail(device):
        raise RuntimeError('driver trouble')

    monkeypatch.setattr(torch.cuda, 'get_device_capability', fail)
    assert target_of('cuda:0') == Target('cuda')


def stored(tensors):
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


SIZES = [(256, 64, 32), (512, 96, 128), (256, 160, 256)]


@pytest.mark.parametrize('name', ['reference', 'torch-int4', cpu_kernel()])
@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('desc_act', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_weight_bytes_are_what_the_kernel_stores(name, bits, desc_act, size):
    k, n, group_size = size
    spec = LinearSpec(k, n, bits, group_size, desc_act)
    packed = random_packed(spec)
    in_file = stored([packed.qweight, packed.qzeros, packed.scales, packed.g_idx])
    linear = GPTQLinear(packed, spec, kernel=name)
    assert rule_named(name).weight_bytes(spec, in_file) == stored(linear.buffers())


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('desc_act', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_weight_bytes_are_what_triton_s_layout_takes(bits, desc_act, size):
    k, n, group_size = size
    spec = LinearSpec(k, n, bits, group_size, desc_act)
    assert TRITON.weight_bytes(spec, 0) == stored(repack(random_packed(spec), spec, WORDS))


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.name)
def test_five_bits_run_nowhere(rule):
    target = Target('cuda' if rule is TRITON else 'cpu')
    assert '5' in rule.unsupported_reason(LinearSpec(256, 64, 5, 128, False), target)


def test_names():
    assert rules.KERNEL_NAMES == ('auto', 'native-cpu', 'triton', 'torch-int4', 'reference')
    with pytest.raises(GPTQError, match='There is no kernel exllama; choose one of auto, native-cpu'):
        rule_for('exllama', SPEC, Target('cpu'))


def test_a_removed_kernel_is_auto_with_a_line_in_the_log(caplog):
    assert rules.resolve_kernel_name('reference') == 'reference' and not caplog.messages
    assert rules.resolve_kernel_name('auto-gptq') == 'auto'
    assert caplog.messages == ['The kernel auto-gptq was removed; auto is used instead.']
    assert rule_for('auto-gptq', SPEC, Target('cpu')) is rule_for('auto', SPEC, Target('cpu'))


@pytest.mark.parametrize(
    'target, configured, dtype',
    [
        (Target('cuda', (9, 0)), 'bfloat16', 'bfloat16'),
        (Target('cuda', (8, 0)), 'bfloat16', 'bfloat16'),
        (Target('cuda', (7, 5)), 'bfloat16', 'float16'),  # computes bfloat16 by emulation
        (Target('cuda', (9, 0)), 'float16', 'float16'),
        (Target('cuda', (9, 0)), 'float32', 'float16'),
        (Target('cuda', (9, 0)), None, 'float16'),
        (Target('cuda', is_rocm=True), 'bfloat16', 'float16'),
        (Target('cpu'), 'bfloat16', 'float32'),
    ],
)
def test_the_dtype_of_a_model_whose_user_names_none(target, configured, dtype):
    assert default_dtype(TRITON, target, configured) == dtype
