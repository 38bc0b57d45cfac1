"""Sizes in words."""

import pytest
from airoboros_gptq.util.formatting import format_bytes, round_bytes


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


@pytest.mark.parametrize(
    ('count', 'text'),
    [
        (0, '0 B'),
        (999, '999 B'),
        (10_833_408, '10.8 MB'),
        (639_920_000, '640 MB'),
        (999_600_000, '1.00 GB'),  # never 1000 MB
        (9_996_000_000, '10.0 GB'),
        (99_960_000_000, '100 GB'),
        (4_519_900_000, '4.52 GB'),
    ],
)
def test_rounded_bytes_have_three_digits(count, text):
    assert round_bytes(count) == text
