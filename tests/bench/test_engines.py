"""Other engines, each in a process of its own."""

import sys

import pytest
from airoboros_gptq import GPTQError
from airoboros_gptq.bench.engines.process import ENGINES, EngineProcess
from reports import bench
from support import TINY


@pytest.mark.parametrize('name', ENGINES)
def test_a_missing_package_is_named_before_anything_is_loaded(capsys, monkeypatch, name):
    engine = ENGINES[name]._replace(packages=('json', 'no_such_package'))
    monkeypatch.setitem(ENGINES, name, engine)
    code, out, err = bench(capsys, TINY, '--against', name)
    assert (code, out, err.count('\n')) == (1, '', 2)  # the first line says that libraries are imported
    assert '(no_such_package)' in err and f'`pip install {engine.install}`' in err


def test_an_engine_that_fails_says_why(tmp_path):
    with pytest.raises(GPTQError, match=r'llama\.cpp failed \(\w+Error'):
        EngineProcess('llama.cpp', sys.executable, tmp_path, 'cpu', 1)
