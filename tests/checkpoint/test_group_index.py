"""What a g_idx shows, read once and let go."""

from array import array

import pytest
from airoboros_gptq.checkpoint.group_index import GroupIndex, describe_group_index


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([0, 0, 1, 1, 2, 2], GroupIndex(0, 2, 2, is_sorted=True, is_sequential=True)),
        ([0, 0, 0, 1, 1], GroupIndex(0, 1, 3, is_sorted=True, is_sequential=True)),  # a short last group
        (
            [0, 0, 1, 1, 1],
            GroupIndex(0, 1, 3, is_sorted=True, is_sequential=False),
        ),  # a short group that is not the last
        ([1, 0, 0, 1], GroupIndex(0, 1, 2, is_sorted=False, is_sequential=False)),
        ([1, 1, 0, 0], GroupIndex(0, 1, 2, is_sorted=False, is_sequential=False)),
        ([-1, 0, 5], GroupIndex(-1, 5, 1, is_sorted=True, is_sequential=False)),
        ([0, 0, 0], GroupIndex(0, 0, 3, is_sorted=True, is_sequential=True)),
        ([], GroupIndex(0, 0, 0, is_sorted=True, is_sequential=True)),
    ],
)
def test_what_the_values_show(values, expected):
    found = describe_group_index(array('i', values))
    assert found == expected
    assert found.is_zero is (not any(values))
