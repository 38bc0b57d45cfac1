"""A demo server as a person starts it, and what a person does on its page."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from playwright.sync_api import TimeoutError

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / 'tests' / 'models'
TINY = 'airoboros-tiny-gpt4-1.2-GPTQ'
WITHOUT_PLAINFORMAT = 'airoboros-tiny-gpt4-GPTQ'  # 1.0, by its name
SHOTS = ROOT / 'shots' / 'demo'
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
FLAGS += ['--disable-component-update', '--disable-sync']


def free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class DemoServer:
    """`python -m airoboros_gptq demo`; `lines` is what it prints in the terminal."""

    def __init__(self, model_dir, *arguments, **env):
        self.lines: list[str] = []
        port = free_port()
        self.url = f'http://127.0.0.1:{port}/?__theme=light'
        command = [sys.executable, '-m', 'airoboros_gptq', 'demo', '--no-browser', '--port', str(port)]
        environ = {**os.environ, 'PYTHONPATH': str(ROOT / 'extensions'), 'GRADIO_ANALYTICS_ENABLED': 'False'}
        environ |= {'HF_HUB_OFFLINE': '1', 'no_proxy': '127.0.0.1,localhost', **env}
        if (
            signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        ):  # in a shell's background; the server would take that over
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            [*command, '--model-dir', str(model_dir), *arguments],
            env=environ,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._open = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith('Open http'):
                self._open.set()
        self._open.set()

    def __enter__(self):
        assert self._open.wait(120) and self.process.poll() is None, ''.join(self.lines)
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait()

    def interrupt(self) -> int:
        """Ctrl+C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def version(page) -> int:
    """Grows when a load begins and when it ends."""
    return int(re.search(r'data-version="(\d+)"', page.locator('#status').inner_html())[1])


def opened(browser, server, **options):
    """A page in a browser context of its own, once it shows what is loaded."""
    page = browser.new_context(**{'viewport': {'width': 1300, 'height': 950}, **options}).new_page()
    page.goto(server.url)
    page.locator('.gptq-facts').first.wait_for(timeout=60_000)
    return page


def pick(page, name):
    """Picks a model. gradio closes an open menu when the server sends its choices, as it does after a load: then again."""
    menu, option = page.get_by_label('Model', exact=True), page.get_by_role('option', name=name, exact=True)
    for _ in range(5):
        menu.blur()
        menu.click()
        try:
            return option.click(timeout=6_000)
        except TimeoutError:
            continue
    raise AssertionError(f'{name} is not among the choices')


def pick_tiny(page):
    """Picks the tiny model with its first checkpoint, whatever another test has loaded."""
    for name, row in ((WITHOUT_PLAINFORMAT, 'Airoboros-v1.0'), (TINY, 'Airoboros-v1.2')):
        pick(page, name)
        page.locator('.gptq-facts', has_text=row).first.wait_for(timeout=30_000)


def load(page):
    """Presses Load, and waits until that load has ended."""
    before = version(page)
    page.get_by_role('button', name='Load', exact=True).click()
    page.wait_for_function(
        'n => +document.querySelector("#status [data-version]").dataset.version >= n', arg=before + 2, timeout=90_000
    )


def ask(page, text):
    """Sends a message, and waits until the event has started, which clears the message box."""
    page.locator('#message textarea').fill(text)
    page.get_by_role('button', name='Send', exact=True).click()
    page.wait_for_function('() => document.querySelector("#message textarea").value === ""', timeout=30_000)


def last_answer(page):
    return page.locator('#chat .bot.message, #chat .message.bot').last
