"""The bytes that decoding one token reads."""

import pytest
from airoboros_gptq.bench import synthetic
from airoboros_gptq.bench.synthetic import SHAPES
from airoboros_gptq.bench.traffic import bytes_per_token
from airoboros_gptq.checkpoint.linear_spec import LinearSpec


def test_a_7b_reads_what_everyone_counts():
    shape, specs = SHAPES['7b'], {}
    for name, (_, size) in synthetic._tensors(shape, 4, 128):
        if name.endswith('.qweight'):
            specs[name] = LinearSpec(size[0] * 8, size[1], 4, 128, False)
    config = {'vocab_size': 32000, 'hidden_size': 4096, 'num_hidden_layers': 32, 'num_attention_heads': 32}
    assert bytes_per_token(specs, config, 0) == pytest.approx(3.63e9, rel=2e-3)
    assert bytes_per_token(specs, config, 1500) - bytes_per_token(specs, config, 0) == 1500 * 2**19
