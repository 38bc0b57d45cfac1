"""What the tests of the core and the command line share. Imports neither torch nor transformers by itself: tests of the
installer and of the webui run beside these, in environments of their own.
"""

import os
from contextlib import suppress
from functools import lru_cache

import pytest
import support

# Tiny matrices gain nothing from threads, and lose much where the machine has other work. Before torch is imported.
os.environ.setdefault('OMP_NUM_THREADS', '1')


# They take the longest, so workers of pytest-xdist begin with them.
LONGEST = ('generation/test_fused_decode.py', 'demo/test_first_minutes.py', 'kernels/triton/test_kernel.py')


def pytest_sessionstart(session):
    """The kernel is compiled before the workers of pytest-xdist start, or each would compile it."""
    if getattr(session.config.option, 'numprocesses', None):
        from airoboros_gptq.kernels.cpu.library_cache import CompileError, compiled_library

        with suppress(CompileError), compiled_library():
            pass


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if hasattr(config, 'workerinput'):
        items.sort(key=lambda item: next((i for i, file in enumerate(LONGEST) if file in item.nodeid), len(LONGEST)))


@pytest.fixture(scope='session')
def load_tiny():
    """load_tiny(checkpoint, kernel, dtype): the tiny Airoboros, loaded once for all tests. None of them may change it."""

    from airoboros_gptq import load

    @lru_cache
    def load_once(checkpoint=support.PLAIN, kernel='reference', dtype=None):
        return load(support.TINY, checkpoint=checkpoint, kernel=kernel, dtype=dtype, device='cpu')

    return load_once


@pytest.fixture
def no_native(monkeypatch, forget_library):
    """As on a machine without a compiler."""
    monkeypatch.setenv('AIROBOROS_GPTQ_NATIVE', '0')


@pytest.fixture
def forget_library():
    """Lets a test look for the compiled library as a new process does, and the next test too."""
    from airoboros_gptq.kernels.cpu import bindings

    bindings._library_or_reason.cache_clear()
    yield
    bindings._library_or_reason.cache_clear()


@pytest.fixture
def empty_cache(monkeypatch, tmp_path, forget_library):
    """A cache folder of the test's own, which does not exist yet."""
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture(scope='session', params=['native', 'AVX2'])
def library(request):
    """The compiled library as it is for this processor, and as for one without AVX-512."""
    from airoboros_gptq.kernels.cpu import bindings
    from airoboros_gptq.kernels.cpu.library_cache import compiled_library

    reason = bindings.unavailable_reason()
    if reason is not None:
        pytest.skip(f'no compiled kernel here: {reason}')
    if request.param == 'native':
        return bindings.load_library()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('AIROBOROS_GPTQ_CXXFLAGS', '-mno-avx512f')
        with compiled_library() as path:
            library = bindings.open_library(path)
    assert library.gptq_instruction_set() == b'AVX2'
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
