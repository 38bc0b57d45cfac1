"""The reference against AutoGPTQ's packing, and against the format's definition written out the long way."""

import numpy as np
import pytest
import torch
from airoboros_gptq.kernels.packing import LinearSpec, PackedLinear, dequantize, group_index, unpack, unpack_zeros
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from support import ORACLES, pack

PACK = load_file(ORACLES / 'pack.safetensors')
CASES = sorted({name.rpartition('.')[0] for name in PACK if '.' in name})


def oracle(case):
    """(packed, spec, q, zeros, y) of one recorded case."""
    t = {part: PACK[f'{case}.{part}'] for part in ('qweight', 'qzeros', 'scales', 'g_idx', 'q', 'zeros', 'y')}
    spec = LinearSpec(96, 32, int(case[0]), 32, case.endswith('act-order'))
    return PackedLinear(t['qweight'], t['qzeros'], t['scales'], t['g_idx']), spec, t['q'], t['zeros'], t['y']


def test_the_oracle_is_whole():
    assert len(CASES) == 16
    for case in CASES:
        g_idx = PACK[f'{case}.g_idx']
        assert bool((g_idx[1:] < g_idx[:-1]).any()) == case.endswith('act-order')


@pytest.mark.parametrize('case', CASES)
def test_unpacks_what_autogptq_packed(case):
    packed, spec, q, zeros, _ = oracle(case)
    assert torch.equal(unpack(packed.qweight, spec.bits), q)
    assert torch.equal(unpack_zeros(packed.qzeros, spec.bits, 'gptq'), zeros.int())
    assert torch.equal(unpack_zeros(packed.qzeros, spec.bits, 'gptq_v2'), zeros.int() - 1)


@pytest.mark.parametrize('case', CASES)
def test_computes_what_autogptq_computed(case):
    packed, spec, _, _, y = oracle(case)
    found = PACK['x'] @ dequantize(packed, spec)
    assert (found - y).norm() / y.norm() < 1e-6


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from((2, 3, 4, 8)),
    rows=st.integers(1, 4),
    columns=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_unpack_is_the_inverse_of_the_definition(bits, rows, columns, seed):
    values = np.random.default_rng(seed).integers(0, 2**bits, (32 * rows, columns))
    found = unpack(torch.from_numpy(pack(values, bits)), bits)
    assert found.dtype == torch.uint8
    assert found.numpy().tolist() == values.tolist()


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
def test_unpack_of_all_ones_and_of_the_sign_bit(bits):
    """The words are signed: a shift that keeps the sign would smear it."""
    assert unpack(torch.full((bits, 1), -1, dtype=torch.int32), bits).unique().tolist() == [2**bits - 1]
    values = np.zeros((32, 1), dtype=int)
    values[-1] = 2 ** (bits - 1)
    assert unpack(torch.from_numpy(pack(values, bits)), bits).flatten().tolist() == values.flatten().tolist()


def by_hand(q, zeros, scales, g_idx):
    """w[k, n] = scales[g(k), n] * (q[k, n] - z[g(k), n]), one number at a time."""
    return [
        [float(scales[g, n]) * (int(q[k, n]) - int(zeros[g, n])) for n in range(q.shape[1])]
        for k, g in enumerate(g_idx.tolist())
    ]


@settings(max_examples=40, deadline=None)
@given(
    bits=st.sampled_from((2, 3, 4, 8)),
    group_size=st.sampled_from((16, 32, 48, 64, 96)),
    order=st.sampled_from(('sequential', 'act-order', 'absent', 'all zero')),
    v2=st.booleans(),
    half=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_dequantize_is_the_formula(bits, group_size, order, v2, half, seed):
    rng = np.random.default_rng(seed)
    rows, columns = 96, 32
    groups = -(-rows // group_size)  # 64 leaves the last group short
    q = rng.integers(0, 2**bits, (rows, columns))
    stored = rng.integers(0, 2**bits, (groups, columns))
    scales = rng.random((groups, columns)).astype(np.float16 if half else np.float32)
    g_idx = np.arange(rows) // group_size
    if order == 'act-order':
        rng.shuffle(g_idx)
    given_idx = {'absent': None, 'all zero': torch.zeros(rows, dtype=torch.int32)}.get(
        order, torch.from_numpy(g_idx).int()
    )
    packed = PackedLinear(
        torch.from_numpy(pack(q, bits)),
        torch.from_numpy(pack(stored.T, bits)).t().contiguous(),
        torch.from_numpy(scales),
        given_idx,
    )
    spec = LinearSpec(rows, columns, bits, group_size, order == 'act-order', 'gptq_v2' if v2 else 'gptq')
    # A stored v1 zero of 2**bits - 1 is a 0 less 1, in as many bits.
    expected = by_hand(q, stored if v2 else (stored + 1) % 2**bits, scales, g_idx)
    torch.testing.assert_close(dequantize(packed, spec), torch.tensor(expected), rtol=1e-6, atol=1e-6)


def test_group_index_of_one_group():
    spec = LinearSpec(64, 32, 4, 64, False)
    assert group_index(spec, torch.zeros(64, dtype=torch.int32), 'cpu').unique().tolist() == [0]


def test_an_act_order_g_idx_is_not_taken_for_an_absent_one():
    spec = LinearSpec(4, 32, 4, 2, True)
    assert group_index(spec, torch.tensor([1, 0, 0, 1]), 'cpu').tolist() == [1, 0, 0, 1]
