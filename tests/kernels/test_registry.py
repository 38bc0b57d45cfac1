"""Every kernel against the reference's formula, on fresh random tensors; which kernel is chosen, and why one is not."""

from dataclasses import replace

import pytest
import torch
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import LinearSpec, unpack
from airoboros_gptq.kernels.registry import KERNELS, select_kernel
from compiled import needs_library
from hypothesis import given, settings
from hypothesis import strategies as st
from random_linears import deviation, random_packed, rows

CPU = torch.device('cpu')
# Relative to the norm of the right answer; torch-int4 computes in bf16, of 8 bits, native-cpu with activations of 16.
TOLERANCE = {'native-cpu': 1e-4, 'torch-int4': 1e-2, 'reference': 2e-6}
DTYPE_TOLERANCE = {torch.float32: 0, torch.float16: 2e-3, torch.bfloat16: 1e-2}
NAMES = [
    'reference',
    'torch-int4',
    pytest.param('native-cpu', marks=needs_library),
]


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('group_size', [32, 64, 128, 256, 512])  # 512 is what -1 becomes for 512 rows
@pytest.mark.parametrize('desc_act', [False, True])
@pytest.mark.parametrize('sym', [True, False])
@pytest.mark.parametrize('form', ['gptq', 'gptq_v2'])
def test_group_sizes_zeros_and_orders(name, group_size, desc_act, sym, form):
    spec = LinearSpec(512, 96, 4, group_size, desc_act and group_size < 512, form)
    assert deviation(name, spec, random_packed(spec, sym), rows(spec, 3)) < TOLERANCE[name]


@pytest.mark.parametrize('name', NAMES)
@settings(max_examples=25, deadline=None)
@given(
    groups=st.integers(1, 6),
    columns=st.integers(1, 8),
    group_size=st.sampled_from((32, 64, 128)),
    desc_act=st.booleans(),
    g_idx=st.booleans(),
    half=st.booleans(),
    batch=st.sampled_from(((1,), (2,), (17,), (64,), (1, 1), (2, 5), (2, 3, 4))),
    dtype=st.sampled_from((torch.float32, torch.float16, torch.bfloat16)),
    bias=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_shapes_dtypes_and_batches(name, groups, columns, group_size, desc_act, g_idx, half, batch, dtype, bias, seed):
    spec = LinearSpec(groups * group_size, columns * 32, 4, group_size, desc_act)
    packed = random_packed(spec, True, g_idx, half, seed)
    b = torch.randn(spec.out_features) if bias else None
    limit = TOLERANCE[name] + DTYPE_TOLERANCE[dtype]
    assert deviation(name, spec, packed, rows(spec, *batch, dtype=dtype), b) < limit


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('bits', [2, 3, 8])
@pytest.mark.parametrize('desc_act', [False, True])
def test_other_widths(name, bits, desc_act):
    spec = LinearSpec(192, 64, bits, 64, desc_act)
    assert deviation(name, spec, random_packed(spec), rows(spec, 5)) < TOLERANCE[name]


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('desc_act', [False, True])
def test_a_stored_zero_of_15_is_0(name, desc_act):
    """What AutoGPTQ packs for a zero point of 0; its own two QuantLinears disagree about it."""
    spec = LinearSpec(128, 32, 4, 32, desc_act)
    packed = random_packed(spec)
    packed.qzeros.fill_(-1)
    x = rows(spec, 2)
    q = unpack(packed.qweight, 4).double()
    right = x.double() @ (packed.scales.double()[packed.g_idx.long()] * q)
    found = GPTQLinear(packed, spec, kernel=name)(x)
    assert (found - right).norm() / right.norm() < TOLERANCE[name]


@pytest.mark.parametrize('desc_act', [False, True])
def test_a_short_last_group_falls_to_the_reference(no_native, desc_act):
    spec = LinearSpec(160, 64, 4, 128, desc_act)
    assert select_kernel('auto', spec, CPU).name == 'reference'
    assert deviation('auto', spec, random_packed(spec), rows(spec, 3)) < TOLERANCE['reference']


def test_groups_of_unequal_size_are_not_taken_for_equal_ones():
    """128, 64 and 64 rows: sorted and cut into pieces of 128, they would be two groups, and the third one lost."""
    g_idx = torch.cat([torch.full((n,), g) for g, n in enumerate((128, 64, 64))])[torch.randperm(256)].int()
    packed = replace(random_packed(LinearSpec(384, 64, 4, 128, False)), g_idx=g_idx)
    packed = replace(packed, qweight=packed.qweight[:32].contiguous())
    spec = LinearSpec(256, 64, 4, 128, True, irregular_groups=True)
    x = rows(spec, 3)
    q = unpack(packed.qweight, 4).double()
    right = x.double() @ (packed.scales.double()[g_idx.long()] * (q - 8))
    found = GPTQLinear(packed, spec)(x)
    assert (found - right).norm() / right.norm() < TOLERANCE['reference']
    wrong = GPTQLinear(packed, replace(spec, irregular_groups=False), kernel='torch-int4')(x)
    assert (wrong - right).norm() / right.norm() > 0.1


@pytest.mark.parametrize(
    ('spec', 'name'),
    [
        (LinearSpec(4096, 11008, 4, 128, False), 'torch-int4'),
        (LinearSpec(4096, 11008, 4, 128, True), 'torch-int4'),
        (LinearSpec(11008, 4096, 4, 11008, False), 'torch-int4'),  # one group of 43 times 256
        (LinearSpec(4096, 4096, 2, 128, False), 'torch-int4'),
        (LinearSpec(4096, 4096, 3, 128, False), 'torch-int4'),
        (LinearSpec(4096, 4096, 8, 128, True), 'torch-int4'),
        (LinearSpec(4096, 4096, 4, 1024, True), 'torch-int4'),
        (LinearSpec(4096, 4096, 4, 128, True, irregular_groups=True), 'reference'),
        (LinearSpec(4096, 4096, 4, 128, False, irregular_groups=True), 'reference'),
        (LinearSpec(4160, 4096, 4, 128, False), 'reference'),
        (LinearSpec(4096, 4096, 4, 16, False), 'reference'),
        (LinearSpec(4096, 4104, 4, 128, False), 'reference'),
    ],
)
def test_what_auto_takes_on_a_cpu_without_a_compiler(no_native, spec, name):
    assert select_kernel('auto', spec, CPU).name == name


@needs_library
@pytest.mark.parametrize(
    ('spec', 'name'),
    [
        (LinearSpec(4096, 11008, 4, 128, False), 'native-cpu'),
        (LinearSpec(4096, 11008, 4, 128, True), 'native-cpu'),
        (LinearSpec(11008, 4096, 4, 11008, False), 'native-cpu'),
        (LinearSpec(4096, 4096, 3, 128, False), 'native-cpu'),
        (LinearSpec(4096, 4096, 8, 1024, True), 'native-cpu'),
        (LinearSpec(4160, 4096, 4, 128, False), 'native-cpu'),
        (LinearSpec(4096, 4096, 4, 16, False), 'native-cpu'),
        (LinearSpec(4096, 4104, 4, 128, False), 'native-cpu'),
        (LinearSpec(4096, 4096, 4, 128, True, irregular_groups=True), 'reference'),
        (LinearSpec(4096, 4096, 4, 128, False, irregular_groups=True), 'reference'),
    ],
)
def test_what_auto_takes_on_a_cpu(spec, name):
    assert select_kernel('auto', spec, CPU).name == name


@pytest.mark.parametrize(
    ('name', 'spec', 'words'),
    [
        ('torch-int4', LinearSpec(128, 128, 5, 128, False), 'it is for 2, 3, 4 and 8 bits, the file has 5'),
        ('torch-int4', LinearSpec(160, 128, 4, 128, False), 'groups of one size, and the file has a shorter one'),
        ('torch-int4', LinearSpec(256, 128, 4, 128, True, irregular_groups=True), 'groups of one size'),
        ('torch-int4', LinearSpec(128, 128, 4, 16, False), 'groups of 32, 64, 128 or 256, the file has 16'),
        ('torch-int4', LinearSpec(128, 120, 4, 32, False), 'out_features is not a multiple of 16'),
    ],
)
def test_a_kernel_that_cannot_run_says_why(name, spec, words):
    with pytest.raises(GPTQError, match=words) as e:
        select_kernel(name, spec, CPU)
    assert f'The kernel {name} cannot run' in str(e.value) and 'choose auto' in str(e.value)


def test_an_unknown_kernel_lists_those_there_are():
    with pytest.raises(
        GPTQError, match='no kernel exllama; choose one of auto, native-cpu, triton, torch-int4, reference'
    ):
        select_kernel('exllama', LinearSpec(128, 128, 4, 128, False), CPU)


def test_a_kernel_of_an_earlier_version_means_auto(caplog):
    """Saved settings may name it."""
    spec = LinearSpec(128, 128, 4, 128, False)
    assert select_kernel('auto-gptq', spec, CPU) is select_kernel('auto', spec, CPU)
    assert caplog.messages == ['The kernel auto-gptq was removed; auto is used instead.']


@pytest.mark.parametrize('device', ['meta', 'xpu', 'mps'])
def test_other_devices_have_the_reference(device):
    """`auto` never comes up empty, and the kernels for CPU and CUDA do not try."""
    spec = LinearSpec(128, 128, 4, 128, False)
    assert select_kernel('auto', spec, torch.device(device)).name == 'reference'
    for kernel in KERNELS[:3]:
        assert device in kernel.unsupported_reason(spec, torch.device(device))


@pytest.mark.parametrize('name', NAMES)
def test_the_state_dict_holds_no_kernel_layout(name):
    """What a kernel keeps is its own business: a saved model must not carry tensors that nobody can read back."""
    spec = LinearSpec(128, 64, 4, 32, False)
    assert GPTQLinear(random_packed(spec), spec, kernel=name).state_dict() == {}


def test_repr_says_what_runs():
    spec = LinearSpec(128, 64, 4, 32, False)
    assert 'bits=4, group_size=32, kernel=reference' in repr(GPTQLinear(random_packed(spec), spec, kernel='reference'))
