"""What is read off the tensors of one linear, and what a claim may decide."""

import struct
from array import array

import numpy as np
import pytest
from airoboros_gptq.checkpoint.checkpoint import open_checkpoint
from airoboros_gptq.checkpoint.quant_inference import infer_quantization, resolve_format, symmetric_format
from airoboros_gptq.checkpoint.quantize_config import QuantizeConfig
from airoboros_gptq.errors import GPTQError
from support import pack, write_safetensors


def linear(rows, columns, bits, groups, g_idx=None, zero=None, **change):
    """The tensors of the linear `a`, for write_safetensors."""
    zeros = np.full((columns, groups), 2 ** (bits - 1) - 1 if zero is None else zero)
    tensors = {
        'a.qweight': ('I32', (rows * bits // 32, columns), bytes(rows * bits // 8 * columns)),
        'a.qzeros': ('I32', (groups, columns * bits // 32), pack(zeros, bits).T.tobytes()),
        'a.scales': ('F16', (groups, columns), bytes(2 * groups * columns)),
    }
    if g_idx is not None:
        tensors['a.g_idx'] = ('I32', (len(g_idx),), struct.pack(f'<{len(g_idx)}i', *g_idx))
    return tensors | change


def spec(tmp_path, tensors, config=None, **asked):
    write_safetensors(tmp_path / 'm.safetensors', tensors)
    return infer_quantization(open_checkpoint(tmp_path, 'm.safetensors'), config or QuantizeConfig(), **asked).specs[
        'a'
    ]


def claim(group_size):
    return QuantizeConfig(group_size=group_size, sources={'group_size': 'it.json'})


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('groups', [1, 2, 8])
def test_bits_and_group_size_come_from_shapes(tmp_path, bits, groups):
    found = spec(tmp_path, linear(256, 32, bits, groups))
    assert (found.bits, found.in_features, found.out_features) == (bits, 256, 32)
    assert (found.group_size, found.desc_act, found.irregular_groups) == (256 // groups, False, False)


@pytest.mark.parametrize(
    ('rows', 'groups', 'claimed', 'size'),
    [
        (256, 2, 200, 128),  # a claim that fits the shapes, but is not needed
        (288, 3, 128, 128),  # 128, 128 and 32 rows, or three times 96
        (288, 3, None, 128),
        (288, 3, 96, 96),
        (320, 3, 128, 128),
        (320, 3, 64, 128),  # a lie: 64 would be 5 groups
        (320, 3, None, 128),
        (480, 5, 112, 112),
    ],
)
def test_a_short_last_group(tmp_path, rows, groups, claimed, size):
    assert spec(tmp_path, linear(rows, 32, 4, groups), claim(claimed)).group_size == size


def test_groups_that_no_size_gives(tmp_path):
    with pytest.raises(GPTQError, match='7 groups for 32 rows, which no group size gives; download'):
        spec(tmp_path, linear(32, 32, 4, 7))


def test_act_order_is_what_g_idx_shows(tmp_path):
    in_order = [k // 64 for k in range(256)]
    assert not spec(tmp_path, linear(256, 32, 4, 4, in_order)).desc_act
    assert not spec(tmp_path, linear(256, 32, 4, 4, [0] * 256)).desc_act
    found = spec(tmp_path, linear(256, 32, 4, 4, in_order[::-1]))
    assert (found.desc_act, found.group_size, found.irregular_groups) == (True, 64, False)


@pytest.mark.parametrize(
    ('fill', 'desc_act'),
    [((128, 64, 64), True), ((65, 64, 127), True), ((0, 128, 128), True), ((128, 128, 0), False)],
)
def test_groups_of_unequal_size(tmp_path, fill, desc_act):
    g_idx = [g for g, rows in enumerate(fill) for _ in range(rows)]
    found = spec(tmp_path, linear(256, 32, 4, 3, g_idx))
    assert (found.desc_act, found.irregular_groups) == (desc_act, True)
    assert not spec(tmp_path, linear(320, 32, 4, 3, [k // 128 for k in range(320)])).irregular_groups


@pytest.mark.parametrize(
    ('tensors', 'words'),
    [
        (linear(64, 32, 4, 2, [0] * 32 + [2] * 32), 'groups outside 0 to 1'),
        (linear(64, 32, 4, 2, [0] * 32 + [-1] * 32), 'groups outside 0 to 1'),
        (linear(64, 32, 4, 2, **{'a.bias': ('F16', (31,), bytes(62))}), r'a\.bias of shape \(31,\)'),
        (linear(64, 32, 4, 2, **{'a.scales': ('I32', (2, 32), bytes(256))}), r'a\.scales as I32'),
        (linear(64, 32, 4, 2, **{'a.qweight': ('I16', (16, 32), bytes(1024))}), r'a\.qweight as I16'),
        (linear(64, 32, 4, 2, **{'a.scales': ('F16', (64,), bytes(128))}), 'which is not GPTQ'),
    ],
)
def test_tensors_that_contradict_each_other(tmp_path, tensors, words):
    with pytest.raises(GPTQError, match=words) as e:
        spec(tmp_path, tensors)
    assert 'm.safetensors' in str(e.value) and '\n' not in str(e.value)


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
def test_symmetric_zeros_tell_the_format(bits):
    def stored(*values):
        return array('i', pack(np.array(values * 32)[:32].reshape(32, 1), bits).flatten().tolist())

    middle = 2 ** (bits - 1)
    assert symmetric_format(bits, stored(middle - 1) * 3) == 'gptq'
    assert symmetric_format(bits, stored(middle) * 3) == 'gptq_v2'
    assert symmetric_format(bits, stored(0)) is None
    assert symmetric_format(bits, stored(middle, middle - 1)) is None
    assert symmetric_format(bits, stored(middle) + stored(middle - 1)) is None
    assert symmetric_format(bits, array('i')) is None


@pytest.mark.parametrize(
    ('asked', 'claimed', 'seen', 'form', 'why'),
    [
        ('gptq_v2', 'gptq', {'gptq'}, 'gptq_v2', 'named by the user'),
        (None, 'gptq_v2', {'gptq'}, 'gptq', 'symmetric v1'),
        (None, 'gptq', {'gptq_v2'}, 'gptq_v2', 'symmetric v2'),
        (None, 'gptq', {'gptq'}, 'gptq', ''),
        (None, None, {'gptq_v2'}, 'gptq_v2', 'symmetric v2'),
        (None, 'gptq_v2', {None}, 'gptq_v2', ''),
        (None, 'gptq_v2', {None, 'gptq'}, 'gptq_v2', ''),  # not all that were looked at say the same
        (None, None, {'gptq', 'gptq_v2'}, 'gptq', 'as nearly all files are'),
        (None, None, {None}, 'gptq', 'as nearly all files are'),
    ],
)
def test_who_decides_the_format(asked, claimed, seen, form, why):
    found, reason = resolve_format(asked, claimed, seen)
    assert found == form
    assert why in reason if why else reason == ''


def test_the_user_s_format_reaches_the_linears(tmp_path):
    tensors = linear(64, 32, 4, 2)
    assert spec(tmp_path, tensors).checkpoint_format == 'gptq'
    assert spec(tmp_path, tensors, checkpoint_format='gptq_v2').checkpoint_format == 'gptq_v2'
    assert spec(tmp_path, linear(64, 32, 4, 2, zero=8)).checkpoint_format == 'gptq_v2'
