"""Triton's kernels without a GPU: Triton runs them as Python."""

import importlib.util

import pytest
from run_interpreted import FILES, OF_GENERATION, check_interpreted
from support import PLAIN, TINY, run_python

WITHOUT = """
import sys
sys.modules['triton'] = None
import torch
from airoboros_gptq import load
model, tokenizer = load(sys.argv[1], checkpoint=sys.argv[2], device='cpu')
ids = torch.tensor([[1, 5, 9]])
print(model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, do_sample=False).shape[1])
"""


def test_without_triton_models_load_and_answer():
    """As in a webui whose PyTorch is for CPUs."""
    code, out, err = run_python('-c', WITHOUT, TINY, PLAIN)
    assert code == 0, err
    assert out.strip() == '5'


@pytest.mark.skipif(importlib.util.find_spec('triton') is None, reason='Triton is not installed')
def test_the_kernels_under_the_interpreter():
    check_interpreted([name for name in FILES if name not in OF_GENERATION])
