"""Values that no quantiser writes are refused, in each kind of tensor that a folder holds."""

import math

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.model.tensor_checks import check_finite
from support import PLAIN, edit_tensors

UP = 'model.layers.1.mlp.up_proj'


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_one_value_is_enough(dtype, value):
    tensor = torch.zeros(3, 5, dtype=dtype)
    check_finite(tensor, 'a.weight', 'm.safetensors')
    tensor[1, 2] = value
    with pytest.raises(
        GPTQError, match=r'm\.safetensors holds a\.weight with NaN or infinity in it; .*download it again'
    ):
        check_finite(tensor, 'a.weight', 'm.safetensors')


def test_whole_numbers_are_no_weights():
    with pytest.raises(GPTQError, match='holds a as int32 where floating point is expected; download it again'):
        check_finite(torch.zeros(3, dtype=torch.int32), 'a', 'm.safetensors')


def test_an_empty_tensor_has_nothing_wrong():
    check_finite(torch.empty(0), 'a', 'm.safetensors')


@pytest.mark.parametrize(
    'name', [f'{UP}.bias', f'{UP}.scales', 'model.embed_tokens.weight', 'model.norm.weight', 'lm_head.weight']
)
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_a_model_is_checked_as_it_is_loaded(tiny_copy, name, value):
    def damage(tensors):
        tensors.setdefault(f'{UP}.bias', torch.zeros(768).half())
        tensors[name].view(-1)[5] = value

    edit_tensors(tiny_copy / PLAIN, damage)
    with pytest.raises(GPTQError, match=rf'{name} with NaN or infinity'):
        load(tiny_copy, device='cpu')
