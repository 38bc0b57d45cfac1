"""A small project to install from, and small webuis to install into."""

import importlib.util
import shutil
import sys
from types import SimpleNamespace

import pytest
from install_helpers import LAYOUTS, NAME, ROOT, Webui, put

import installer
from installer import cache, check_environment, commands, demo_and_tests, install, own_environment, payload

# What install.py itself is made of.
PARTS = 'installer/*.py', 'installer/start_hook/*'


@pytest.fixture
def source(tmp_path):
    """A small project to install from, so that it can be upgraded."""
    root = tmp_path / 'project'
    for name in ('presets', 'instruction-templates'):
        shutil.copytree(ROOT / name, root / name)
    for name in ('install.py', 'pyproject.toml'):
        shutil.copy(ROOT / name, root / name)
    for pattern in PARTS:
        for part in ROOT.glob(pattern):
            put(root / part.relative_to(ROOT), part.read_bytes())
    put(root / 'extensions' / NAME / '__init__.py', "__version__ = '9.9'\n")
    put(root / 'extensions' / NAME / 'demo' / 'app.py', '')
    cache_dir = 'extensions', NAME, 'util', 'cache_dir.py'
    put(root.joinpath(*cache_dir), ROOT.joinpath(*cache_dir).read_bytes())
    put(root / 'extensions' / NAME / 'script.py', 'params = {}\n')
    put(root / 'extensions' / NAME / 'model' / 'old.py', 'old = 1\n')
    put(root / 'extensions' / NAME / '__pycache__' / 'script.cpython-311.pyc', b'\0')
    return root


@pytest.fixture(params=LAYOUTS)
def webui(request, tmp_path):
    return Webui(tmp_path / 'webui', request.param)


@pytest.fixture
def v4(tmp_path):
    return Webui(tmp_path / 'webui', 'v4')


@pytest.fixture
def from_source(source, monkeypatch):
    """The installer's modules in this process install from the small project and make their environment in it."""
    for module in (installer, payload, install, cache, check_environment, commands, own_environment, demo_and_tests):
        monkeypatch.setattr(module, 'ROOT', source)
    for module in (own_environment, demo_and_tests):
        monkeypatch.setattr(module, 'VENV', source / '.venv')
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(source.parent / 'cache'))


@pytest.fixture
def main(from_source, monkeypatch):
    """main of install.py, in this process."""
    monkeypatch.setattr(sys, 'path', sys.path.copy())
    monkeypatch.setattr(sys, 'dont_write_bytecode', sys.dont_write_bytecode)
    spec = importlib.util.spec_from_file_location('install_under_test', ROOT / 'install.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda arguments: module.main(arguments, '')


@pytest.fixture
def calls(from_source, monkeypatch):
    """Every command written down instead of run; making a venv leaves a Python that works."""
    recorded = SimpleNamespace(commands=[], codes={})

    def call(*command, env=None):
        words = ' '.join(str(part) for part in command)
        recorded.commands.append(words)
        if ' -m venv ' in words:
            put(own_environment.VENV / 'bin' / 'python', '#!/bin/sh\nexit 0\n').chmod(0o755)
        return next((code for text, code in recorded.codes.items() if text in words), 0)

    monkeypatch.setattr(commands, 'call', call)
    return recorded
