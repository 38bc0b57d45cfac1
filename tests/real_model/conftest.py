import pytest

pytest.importorskip('gguf', reason='needs gguf: python install.py test')


@pytest.fixture(scope='session')
def llama():
    from tiny_gguf import tiny_llama

    return tiny_llama()


@pytest.fixture(scope='session')
def gguf_path(tmp_path_factory, llama):
    from tiny_gguf import write_gguf

    return write_gguf(tmp_path_factory.mktemp('gguf') / 'tiny.gguf', llama)
