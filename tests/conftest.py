"""What the tests of the core and the command line share. Imports neither torch nor transformers by itself: tests of the
installer and of the webui run beside these, in environments of their own.
"""

import os
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest
import support

# Tiny matrices gain nothing from threads, and lose much where the machine has other work. Before torch is imported.
os.environ.setdefault('OMP_NUM_THREADS', '1')


@pytest.fixture(scope='session')
def load_tiny():
    """load_tiny(checkpoint, kernel, dtype): the tiny Airoboros, loaded once for all tests. None of them may change it."""

    from airoboros_gptq import load

    @lru_cache
    def load_once(checkpoint=support.PLAIN, kernel='reference', dtype=None):
        return load(support.TINY, checkpoint=checkpoint, kernel=kernel, dtype=dtype, device='cpu')

    return load_once


@pytest.fixture
def no_native(monkeypatch):
    """As on a machine without a compiler."""
    from airoboros_gptq.kernels.cpu import bindings as library
    from airoboros_gptq.kernels.cpu import compile as build

    def forget():
        build.why_not.cache_clear()
        library.find_library.cache_clear()

    monkeypatch.setenv('AIROBOROS_GPTQ_NATIVE', '0')
    forget()
    yield
    monkeypatch.undo()
    forget()


@pytest.fixture(scope='session', params=['native', 'AVX2'])
def library(request, tmp_path_factory):
    """The compiled kernel as it is for this processor, and as for one without AVX-512."""
    from airoboros_gptq.kernels.cpu import bindings as native
    from airoboros_gptq.kernels.cpu import compile as build

    found, reason = native.find_library()
    if reason is not None:
        pytest.skip(f'no compiled kernel here: {reason}')
    if request.param == 'native':
        return found
    made = tmp_path_factory.mktemp('avx2') / 'kernel.so'
    source = Path(build.__file__).with_name('csrc') / 'gemm.cpp'
    subprocess.run(
        [build.compiler(), *build.FLAGS, '-mno-avx512f', '-o', made, source], check=True, capture_output=True
    )
    library = native.open_library(made)
    assert library.gptq_instructions() == b'AVX2'
    return library


@pytest.fixture
def tiny_copy(tmp_path):
    """A copy of the tiny folder, with one checkpoint in it, that a test may damage."""
    return support.copy_tiny(tmp_path / 'airoboros-tiny-gpt4-1.2-GPTQ', support.PLAIN)


@pytest.fixture(scope='session')
def llama_tokenizer_model():
    """The path of the real LLaMA tokenizer.model, which may not be published with this project."""
    if not support.LLAMA_TOKENIZER.is_file():
        pytest.skip("LLaMA's tokenizer.model is not here; name its path in AIROBOROS_LLAMA_TOKENIZER")
    return support.LLAMA_TOKENIZER
