"""A real webui to test in: a copy with the extension installed, and its server on a free local port."""

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
# Adds to gradio from PyPI what the webui expects of its own fork, where the fork is not installed.
SHIM = ROOT.parent / 'shared' / 'webui' / 'shim'
START_SECONDS = 300
STARTED = 'Running on local URL'
# gradio ends if its own request to the page takes longer than 3 s, as on a busy machine. So tests send none before this
# line is in the log. v3 swallows it: there the server must have had nothing to do at this many looks in a row, 0.2 s apart. Where
# that cannot be seen either, this many seconds must have passed.
SETTLED = 'To create a public link'
SETTLED_LOOKS = 6
GRADIO_SECONDS = 30

# Left out of the copy: what is large, the user's own, or left by an earlier install.
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
    """Installs the extension into a webui as a user does."""
    subprocess.run([sys.executable, ROOT / 'install.py', 'webui', webui], check=True, capture_output=True, text=True)


def uninstall(webui: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / 'install.py', 'uninstall', webui], check=True, capture_output=True, text=True
    )


def data_folder(webui: Path) -> Path:
    """The folder of models, presets and logs: user_data since v3.3, the webui's root before."""
    return webui / 'user_data' if (webui / 'user_data').is_dir() else webui


def python_of(webui: Path) -> str:
    """The Python to run a webui with: AIROBOROS_WEBUI_PYTHON, the checkout's own, or that of the tests."""
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
        """Waits until the log has the text so many times; whether it does."""
        deadline = time.monotonic() + START_SECONDS
        while self.log().count(text) < times and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.2)
        return self.log().count(text) >= times

    def wait(self, starts: int = 1) -> Server:
        """Waits until its page answers, after `starts` starts in the same process (the Session tab restarts it). Raises
        AssertionError with the end of the log if the server ends before.
        """
        deadline, up_at, self._quiet_looks = time.monotonic() + START_SECONDS, None, 0
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                if starts > 1 or not self.log().rstrip().endswith('ReadTimeout: timed out'):
                    raise AssertionError(f'The webui ended while it started:\n{self.log()[-3000:]}')
                self._start()
                up_at = None
            elif up_at is None:
                up_at = time.monotonic() if self.log().count(STARTED) >= starts else None
            elif self._is_settled(starts, up_at) and self.answers():
                return self
            time.sleep(0.2)
        raise AssertionError(f'The webui did not answer in {START_SECONDS} s:\n{self.log()[-3000:]}')

    def _is_settled(self, starts: int, up_at: float) -> bool:
        if self._swallows_settled():
            self._quiet_looks = self._quiet_looks + 1 if self._has_nothing_to_do() else 0
        return (
            self.log().count(SETTLED) >= starts
            or self._quiet_looks >= SETTLED_LOOKS
            or time.monotonic() > up_at + GRADIO_SECONDS
        )

    def _swallows_settled(self) -> bool:
        filtering = self.webui / 'modules' / 'block_requests.py'
        return filtering.is_file() and SETTLED in filtering.read_text('utf-8')

    def _has_nothing_to_do(self) -> bool:
        """Whether no thread of the server runs or waits for a core; False where the system does not tell."""
        stats = list(Path(f'/proc/{self.process.pid}/task').glob('*/stat'))
        try:
            states = {stat.read_text().rpartition(')')[2].split()[0] for stat in stats}
        except OSError:  # a thread has ended since
            return False
        return bool(states) and not states & {'R', 'D'}

    def wait_for_start_or_end(self) -> int | None:
        """Waits until its page answers (None) or it ends (its exit status)."""
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
    """The environment of the webui: offline, and with the shim if there is one."""
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTEST_CURRENT_TEST')}
    env |= {
        'GRADIO_ANALYTICS_ENABLED': 'False',
        'HF_HUB_OFFLINE': '1',
        'TRANSFORMERS_OFFLINE': '1',
        'PYTHONUNBUFFERED': '1',
        'no_proxy': '127.0.0.1,localhost',
        'COLUMNS': '200',  # or the log wraps its lines
    }
    shim = os.environ.get('AIROBOROS_WEBUI_SHIM') or (str(SHIM) if SHIM.is_dir() else '')
    return env | ({'PYTHONPATH': shim} if shim else {})
