"""The compiled attention against the formula in fp64."""

import pytest
import torch
from airoboros_gptq.kernels.cpu import bindings
from airoboros_gptq.kernels.cpu.attention import attend, reference
from hypothesis import given, settings
from hypothesis import strategies as st

TOLERANCE = {torch.float32: 3e-6, torch.float16: 5e-4, torch.bfloat16: 4e-3}  # of the last two, their own rounding


def random_inputs(heads, kv_heads, rows, keys, dim, dtype=torch.float32, room=3, seed=0):
    """query, key, value, as a model and its growing cache lay them out: what lies behind the keys must not be read."""
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(1, rows, heads, dim, generator=generator).to(dtype).transpose(1, 2)
    behind = torch.full((1, kv_heads, room, dim), torch.nan)
    cached = [torch.randn(1, kv_heads, keys, dim, generator=generator) for _ in range(2)]
    key, value = (torch.cat((t, behind), 2).to(dtype).narrow(2, 0, keys) for t in cached)
    return query, key, value


def error(library, query, key, value, scale):
    found, right = attend(library, query, key, value, scale), reference(query, key, value, scale)
    assert found.dtype == query.dtype and found.shape == right.shape and found.is_contiguous()
    return float((found - right).norm() / right.norm())


@settings(max_examples=60, deadline=None)
@given(
    kv_heads=st.integers(1, 5),
    shared=st.sampled_from((1, 1, 2, 4, 7)),
    rows=st.one_of(st.just(1), st.integers(1, 20), st.integers(1, 150)),
    before=st.one_of(st.integers(0, 130), st.integers(0, 1850)),
    dim=st.sampled_from((16, 48, 64, 80, 96, 128, 256)),
    dtype=st.sampled_from(tuple(TOLERANCE)),
    scale=st.sampled_from((0.05, 0.3)),
    seed=st.integers(0, 10**6),
)
def test_any_shape(library, kv_heads, shared, rows, before, dim, dtype, scale, seed):
    inputs = random_inputs(kv_heads * shared, kv_heads, rows, rows + before, dim, dtype, seed % 300, seed)
    assert error(library, *inputs, scale) < TOLERANCE[dtype]


@pytest.mark.parametrize('keys', [1, 2, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1024, 1500, 2000])
def test_one_query_at_the_borders_of_blocks(library, keys):
    assert error(library, *random_inputs(4, 2, 1, keys, 128, seed=keys), 128**-0.5) < TOLERANCE[torch.float32]


@pytest.mark.parametrize('rows', [1, 40])
@pytest.mark.parametrize('size', [1e-20, 1.0, 300.0])
def test_scores_of_any_size(library, rows, size):
    """Up to where one key takes all the weight, and the others' vanish below what fp32 holds."""
    query, key, value = random_inputs(2, 2, rows, 600, 64)
    assert error(library, query * size, key, value, 1.0) < 1e-3 if size > 1 else 1e-5


@pytest.mark.parametrize('rows', [1, 5, 40])
def test_a_query_that_is_not_finite_spoils_its_row_only(library, rows):
    query, key, value = random_inputs(4, 2, rows, 700, 64)
    right = attend(library, query, key, value, 0.1)
    query[0, 1, rows // 2, 3] = torch.nan
    found = attend(library, query, key, value, 0.1)
    assert found[0, rows // 2, 1].isnan().all()
    found[0, rows // 2, 1] = right[0, rows // 2, 1]
    assert torch.equal(found, right)


@pytest.mark.parametrize('rows', [1, 30])
@pytest.mark.parametrize('which', [1, 2])
def test_a_key_or_value_that_is_not_finite_shows(library, rows, which):
    inputs = random_inputs(2, 1, rows, 700, 64)
    inputs[which][0, 0, 90] = torch.nan
    assert attend(library, *inputs, 0.1).isnan().all()


@pytest.mark.parametrize('rows', [1, 3, 200])
def test_threads_change_nothing(library, rows):
    inputs, before = random_inputs(4, 2, rows, 1700, 128), torch.get_num_threads()
    try:
        found = [(torch.set_num_threads(n), attend(library, *inputs, 0.1))[1] for n in (1, 2, 3, 7)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_layouts_with_gaps_within_a_head(library):
    query, key, value = random_inputs(2, 2, 3, 90, 64)
    right = attend(library, query, key, value, 0.1)
    spread = [torch.stack((t, t), -1)[..., 0] for t in (query, key, value)]
    assert spread[0].stride(3) == 2 and torch.equal(attend(library, *spread, 0.1), right)


def test_attention_that_is_computed_wrongly_is_not_used(library, monkeypatch):
    monkeypatch.setattr(bindings, 'attend', lambda *args: attend(*args) * 1.01)
    with pytest.raises(RuntimeError, match='computes the attention of 1 rows wrongly'):
        bindings.check_library(library)
