"""Sizes of tensors from their headers, against torch's."""

import pytest
import torch
from airoboros_gptq.checkpoint.tensor_info import ITEM_BYTES, TensorInfo, tensor_bytes
from airoboros_gptq.model.tensor_reader import DTYPES


@pytest.mark.parametrize('name', DTYPES)
def test_bytes_of_the_dtypes_that_are_read(name):
    assert tensor_bytes(TensorInfo(name, (3, 5), 0, 0)) == torch.empty(3, 5, dtype=DTYPES[name]).nbytes


@pytest.mark.parametrize(('shape', 'count'), [((), 1), ((0, 7), 0), ((2, 3, 4), 24)])
def test_any_number_of_axes(shape, count):
    assert tensor_bytes(TensorInfo('F16', shape, 0, 0)) == 2 * count


def test_an_item_of_a_dtype_that_is_not_listed_takes_one_byte():
    assert 'F8_E8M0' not in ITEM_BYTES
    assert tensor_bytes(TensorInfo('F8_E8M0', (6,), 0, 0)) == 6
