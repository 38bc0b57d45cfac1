"""The bytes that decoding one token reads."""

import pytest
from airoboros_gptq.bench.shapes import SHAPES
from airoboros_gptq.bench.traffic import bytes_per_token
from airoboros_gptq.checkpoint.linear_spec import LinearSpec


def bytes_of(name, context=0):
    shape, specs = SHAPES[name], {}
    for tensor, (_, size) in shape.tensors(4, 128):
        if tensor.endswith('.qweight'):
            specs[tensor] = LinearSpec(size[0] * 8, size[1], 4, 128, False)
    return bytes_per_token(specs, shape.config(), context)


def test_a_7b_reads_what_everyone_counts():
    assert bytes_of('7b') == pytest.approx(3.63e9, rel=2e-3)
    assert bytes_of('7b', 1500) - bytes_of('7b') == 1500 * 2**19


def test_of_a_mixture_only_the_chosen_experts_are_read():
    """3.3 B of the 30.5 B parameters, of which the embedding's 0.3 B are no traffic and the head has two bytes each."""
    assert bytes_of('qwen3-30b-a3b') == pytest.approx(2.7e9 * (0.5 + 2.5 / 128) + 2 * 151936 * 2048, rel=0.03)
