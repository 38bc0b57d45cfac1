"""All of it or nothing: full disks, kills and a second run at the same time."""

import collections
import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.real_model import get_model as module
from airoboros_gptq.real_model.get_model import get_model
from airoboros_gptq.real_model.source import model_folder
from support import EXTENSIONS

Usage = collections.namedtuple('Usage', 'total used free')


@pytest.fixture
def cache(monkeypatch, tmp_path, gguf_path):
    """A cache folder, and a download that gives the tiny GGUF file."""
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path / 'cache'))

    def download(folder):
        return shutil.copy(gguf_path, folder / 'model.gguf'), 'Apache License'

    monkeypatch.setattr(module, 'download_gguf', download)
    return tmp_path / 'cache'


def get():
    return get_model(lambda step: None, lambda done, total: None)


def everything(cache):
    return sorted(str(path.relative_to(cache)) for path in cache.rglob('*'))


def test_it_is_made_once_and_nothing_else_is_left(cache, monkeypatch):
    steps, counts = [], []
    folder = get_model(steps.append, lambda done, total: counts.append((done, total)))
    assert folder == model_folder() and (folder / 'config.json').is_file()
    assert steps == ['downloading', 'quantising'] and counts[0][0] == 0 and counts[-1] == (20, 20)
    assert [path.name for path in cache.iterdir()] == ['models']
    monkeypatch.setattr(module, 'download_gguf', None)
    assert get() == folder


@pytest.mark.parametrize('name', ['model.safetensors', 'config.json', 'tokenizer_config.json', 'LICENSE'])
def test_a_disk_that_fills_leaves_nothing(cache, monkeypatch, name):
    def full(path, *args, **options):
        raise OSError(errno.ENOSPC, 'No space left on device')

    if name == 'model.safetensors':
        monkeypatch.setattr('safetensors.numpy.save_file', full)
    else:
        write = module.make_folder.__globals__['Path'].write_text
        monkeypatch.setattr(
            'pathlib.Path.write_text', lambda path, *a, **o: (full if path.name == name else write)(path, *a, **o)
        )
    with pytest.raises(GPTQError, match=r'No space left on device.*500 MB.*AIROBOROS_GPTQ_CACHE'):
        get()
    assert everything(cache) == ['models']


def test_too_little_space_is_said_before_the_download(cache, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: Usage(10**12, 10**12, 10**8))
    monkeypatch.setattr(module, 'download_gguf', None)
    with pytest.raises(GPTQError, match='too little space is free'):
        get()


def test_a_run_that_was_killed_leaves_no_model_and_the_next_one_cleans_up(cache, gguf_path):
    script = (
        'import shutil, sys, time\n'
        'from airoboros_gptq.real_model import get_model\n'
        f'get_model.download_gguf = lambda folder: (shutil.copy({str(gguf_path)!r}, folder / "model.gguf"), "")\n'
        'get_model.get_model(lambda step: None, lambda done, total: (print(done, flush=True), time.sleep(0.05)))\n'
    )
    environ = {**os.environ, 'PYTHONPATH': str(EXTENSIONS)}
    with subprocess.Popen([sys.executable, '-c', script], env=environ, stdout=subprocess.PIPE) as process:
        while process.stdout.readline().strip() != b'5':
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert not model_folder().exists() and list(cache.glob('real-model.*.tmp'))
    running = cache / f'real-model.{os.getppid()}.tmp'  # of a process that lives
    running.mkdir()
    get()
    assert list(cache.glob('real-model.*.tmp')) == [running] and (model_folder() / 'config.json').is_file()


def test_another_run_that_was_faster_is_as_good(cache, monkeypatch):
    download = module.download_gguf

    def meanwhile(folder):
        model_folder().mkdir(parents=True)
        (model_folder() / 'config.json').write_text('theirs')
        return download(folder)

    monkeypatch.setattr(module, 'download_gguf', meanwhile)
    assert (get() / 'config.json').read_text() == 'theirs'
