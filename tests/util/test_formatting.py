"""Sizes in words."""

import pytest
from airoboros_gptq.util.formatting import format_bytes


@pytest.mark.parametrize(
    ('count', 'text'),
    [
        (0, '0 B'),
        (999, '999 B'),
        (1000, '1.00 kB'),
        (1500, '1.50 kB'),
        (2_481_784, '2.48 MB'),
        (4_519_900_000, '4.52 GB'),
    ],
)
def test_bytes_as_people_write_them(count, text):
    assert format_bytes(count) == text
