"""Columns of activations in the order of an act-order linear."""

import pytest
import torch
from airoboros_gptq.kernels.triton.permute import permute_columns


@pytest.mark.parametrize('columns', [32, 1024, 1376])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_columns_are_those_that_order_names(columns, dtype):
    x, order = torch.randn(5, columns).to(dtype), torch.randperm(columns).int()
    assert permute_columns(x, order).equal(x[:, order.long()])


def test_without_an_order_nothing_is_copied():
    x = torch.randn(2, 32)
    assert permute_columns(x, None) is x
