"""Codes and scales against the rule that round-to-nearest is, and the packing against AutoGPTQ's formula."""

import numpy as np
import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.kernels.packing import PackedLinear, dequantize
from airoboros_gptq.real_model.round_to_nearest import GROUP_SIZE, quantize_linear


def test_no_weight_is_off_by_more_than_half_a_step():
    weight = np.random.default_rng(5).standard_normal((24, 192)).astype(np.float32)
    weight[3, :GROUP_SIZE] = 0
    weight[4, 7] = 300
    packed = quantize_linear(weight)
    assert {name: (t.dtype.str, t.shape) for name, t in packed.items()} == {
        'qweight': ('<i4', (48, 24)),
        'qzeros': ('<i4', (3, 6)),
        'scales': ('<f2', (3, 24)),
        'g_idx': ('<i4', (192,)),
    }
    spec = LinearSpec(192, 24, 8, GROUP_SIZE, desc_act=False, checkpoint_format='gptq')
    restored = dequantize(PackedLinear(**{name: torch.from_numpy(t) for name, t in packed.items()}), spec).numpy().T
    steps = np.repeat(packed['scales'].astype(np.float32).T, GROUP_SIZE, 1)
    # A scale is rounded to fp16, so the largest weight of a group may miss by 127 times that error.
    assert (np.abs(restored - weight) <= steps * (0.5 + 127 * 2**-11)).all()
    assert (restored[3, :GROUP_SIZE] == 0).all()


@pytest.mark.parametrize('shape', [(24, 100), (23, 128)])
def test_a_weight_that_does_not_fit_the_words_is_refused(shape):
    with pytest.raises(GPTQError, match='cannot be quantised'):
        quantize_linear(np.zeros(shape, np.float32))
