"""Decoding and short prompts by Triton's kernels without a GPU: Triton runs them as Python."""

import importlib.util

import pytest
from run_interpreted import OF_GENERATION, check_interpreted


@pytest.mark.skipif(importlib.util.find_spec('triton') is None, reason='Triton is not installed')
def test_the_decoding_step_and_prompts_under_the_interpreter():
    check_interpreted(OF_GENERATION)
