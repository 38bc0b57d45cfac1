"""Triton's kernels without a GPU: Triton runs them as Python where TRITON_INTERPRET=1 stands before they are imported, so the
tests of tests/interpreted have a process of their own.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
from support import PLAIN, ROOT, TINY, run_python

FOLDER = ROOT / 'tests' / 'interpreted'


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
def test_the_kernels_and_the_decoding_step_under_the_interpreter():
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', str(FOLDER)]
    done = subprocess.run(command, env={**os.environ, 'TRITON_INTERPRET': '1'}, capture_output=True, text=True)
    print(done.stdout[-6000:], done.stderr[-2000:])
    assert done.returncode == 0
    counts = done.stdout.splitlines()[-1]
    assert ' passed' in counts and 'skipped' not in counts
