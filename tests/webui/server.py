"""A real webui to test in: a copy with our extension in it, and its server on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / 'tests' / 'models' / 'airoboros-tiny-gpt4-1.2-GPTQ'
# Stands in for what the webui's own gradio fork adds to gradio, where only the one from PyPI is at hand.
SHIM = ROOT.parent / 'shared' / 'webui' / 'shim'
START_SECONDS = 300
# When gradio's own page does not answer it in 3 s, as on a busy machine, it ends: nobody else is to ask till it has said
# this, or, should it not be talkative, for so long.
SETTLED = 'To create a public link'
GRADIO_SECONDS = 30

# What a user's webui may hold that is big, or theirs, or a trace of us: the copy starts without it.
_NOT_COPIED = {'.git', 'installer_files', 'venv', '.venv', 'repositories', 'docker', 'docs', '__pycache__'}
_NOT_COPIED_DATA = {'cache', 'image_outputs', 'settings.yaml', 'CMD_FLAGS.txt', 'airoboros_gptq'}
_EMPTIED = {'models', 'loras', 'logs', 'image_models', 'mmproj', 'training'}


def copy_webui(source: Path, target: Path) -> Path:
    """A fresh copy of a checkout; the checkout itself is only read."""
    data = {source, source / 'user_data'}

    def skip(folder, names):
        if Path(folder) in data:
            return [n for n in names if n in _NOT_COPIED | _NOT_COPIED_DATA]
        if Path(folder).parent in data and Path(folder).name in _EMPTIED:
            return names
        return [n for n in names if n in ('__pycache__', 'airoboros_gptq')]

    shutil.copytree(source, target, ignore=skip, symlinks=True)
    return target


def install(webui: Path) -> None:
    """Puts our extension into a webui, in the way that a user does."""
    subprocess.run([sys.executable, ROOT / 'install.py', 'webui', webui], check=True, capture_output=True, text=True)


def uninstall(webui: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / 'install.py', 'uninstall', webui], check=True, capture_output=True, text=True
    )


def data_folder(webui: Path) -> Path:
    """Where models, presets and logs lie: user_data since v3.3, the webui's root before."""
    return webui / 'user_data' if (webui / 'user_data').is_dir() else webui


def python_of(webui: Path) -> str:
    """The interpreter to run a webui with: the one that is named, the checkout's own, or the one of the tests."""
    own = [webui / 'installer_files' / 'env' / 'bin' / 'python', webui / 'venv' / 'bin' / 'python']
    found = next((str(p) for p in own if p.is_file()), sys.executable)
    return os.environ.get('AIROBOROS_WEBUI_PYTHON') or found


class Server:
    """`server.py` of a webui, running. Use as a context manager."""

    def __init__(self, webui: Path, *flags: str, python: str = sys.executable, cpu: bool = True):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.url = f'http://127.0.0.1:{self.port}'
        self.webui = webui
        self.data = data_folder(webui)
        self.log_file = webui / f'log-{self.port}.txt'
        self.command = [python, 'server.py', '--listen-port', str(self.port), *(['--cpu'] if cpu else []), *flags]
        self._start()

    def _start(self) -> None:
        with self.log_file.open('wb') as out:
            self.process = subprocess.Popen(self.command, cwd=self.webui, env=environment(), stdout=out, stderr=out)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_):
        self.stop()

    def log(self) -> str:
        return self.log_file.read_text('utf-8', 'replace')

    def says(self, text: str, times: int = 1) -> bool:
        """Whether its log does, or comes to."""
        deadline = time.monotonic() + START_SECONDS
        while self.log().count(text) < times and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.2)
        return self.log().count(text) >= times

    def wait(self) -> Server:
        """Until its page answers. A server that ends before it does is a failure, with its last words."""
        deadline, up_at = time.monotonic() + START_SECONDS, None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                if not self.log().rstrip().endswith('ReadTimeout: timed out'):
                    raise AssertionError(f'The webui ended while it started:\n{self.log()[-3000:]}')
                self._start()
                up_at = None
            elif up_at is None and 'Running on local URL' in self.log():
                up_at = time.monotonic()
            elif up_at and (SETTLED in self.log() or time.monotonic() > up_at + GRADIO_SECONDS) and self.answers():
                return self
            time.sleep(0.2)
        raise AssertionError(f'The webui did not answer in {START_SECONDS} s:\n{self.log()[-3000:]}')

    def wait_for_start_or_end(self) -> int | None:
        """Until its page answers (None) or it ends (its exit status)."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None and not self.answers():
            time.sleep(0.2)
        return self.process.poll()

    def answers(self) -> bool:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.url, timeout=5) as page:
                return page.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environment() -> dict[str, str]:
    """What the webui runs in: offline, and with the shim where there is one."""
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTEST_CURRENT_TEST')}
    env |= {
        'GRADIO_ANALYTICS_ENABLED': 'False',
        'HF_HUB_OFFLINE': '1',
        'TRANSFORMERS_OFFLINE': '1',
        'PYTHONUNBUFFERED': '1',
        'no_proxy': '127.0.0.1,localhost',
        'COLUMNS': '200',  # or the log breaks its sentences
    }
    shim = os.environ.get('AIROBOROS_WEBUI_SHIM') or (str(SHIM) if SHIM.is_dir() else '')
    return env | ({'PYTHONPATH': shim} if shim else {})
