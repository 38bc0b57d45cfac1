"""Where compiled kernels and synthetic models are kept."""

import sys
from pathlib import Path

import pytest
from airoboros_gptq.util.cache_dir import cache_folder


def test_a_variable_names_it(monkeypatch, tmp_path):
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path))
    assert cache_folder() == tmp_path


@pytest.mark.skipif(sys.platform != 'linux', reason='XDG')
def test_else_it_is_where_linux_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.delenv('AIROBOROS_GPTQ_CACHE', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_folder() == tmp_path / 'airoboros_gptq'
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert cache_folder() == tmp_path / '.cache' / 'airoboros_gptq'


def test_a_user_without_a_home_has_one(monkeypatch):
    monkeypatch.delenv('AIROBOROS_GPTQ_CACHE', raising=False)
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setattr(Path, 'home', lambda: (_ for _ in ()).throw(RuntimeError('no home')))
    assert 'airoboros_gptq' in cache_folder().name
