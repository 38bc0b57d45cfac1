"""A client of the webui's OpenAI-compatible API."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

from .server import START_SECONDS, Server

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class ApiServer(Server):
    """A webui with --api; with --nowebui among the flags, without its page."""

    def __init__(self, webui: Path, *flags: str, python: str):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.api_port = s.getsockname()[1]
        self.api = f'http://127.0.0.1:{self.api_port}/v1'
        self.headless = '--nowebui' in flags
        super().__init__(webui, '--api', '--api-port', str(self.api_port), *flags, python=python)

    def wait(self, starts: int = 1) -> ApiServer:
        """Waits until the API answers, and the page if there is one."""
        if not self.headless:
            super().wait(starts)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f'The webui ended while it started:\n{self.log()[-3000:]}')
            with contextlib.suppress(OSError):
                self.get('/models')
                return self
            time.sleep(0.2)
        raise AssertionError(f'The API did not answer in {START_SECONDS} s:\n{self.log()[-3000:]}')

    def get(self, path: str) -> dict:
        with _open(self.api + path, timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, **body) -> dict:
        """The answer. Raises AssertionError with the server's error."""
        try:
            with self._ask(path, body) as answer:
                return json.loads(answer.read() or b'null')
        except urllib.error.HTTPError as e:
            raise AssertionError(f'{path}: {e.code} {e.read().decode()}') from e

    def stream(self, path: str, **body) -> list[dict]:
        """The chunks of a streamed answer."""
        with self._ask(path, {**body, 'stream': True}) as answer:
            lines = [line.decode().removeprefix('data:').strip() for line in answer if line.startswith(b'data:')]
        return [json.loads(line) for line in lines if line != '[DONE]']

    def _ask(self, path: str, body: dict):
        request = urllib.request.Request(
            self.api + path, json.dumps(body).encode(), {'Content-Type': 'application/json'}, method='POST'
        )
        return _open(request, timeout=300)

    def chat(self, *messages: str, **options) -> str:
        """The greedy answer to messages of user and assistant in turn."""
        roles = ('user', 'assistant')
        conversation = [{'role': roles[i % 2], 'content': text} for i, text in enumerate(messages)]
        answer = self.post('/chat/completions', messages=conversation, temperature=0, max_tokens=300, **options)
        return answer['choices'][0]['message']['content']

    def loaded(self) -> tuple[str, str]:
        """(model, loader)"""
        info = self.get('/internal/model/info')
        return info['model_name'], info['loader']

    def memory(self) -> int:
        """Resident bytes of the server's process."""
        for line in Path(f'/proc/{self.process.pid}/status').read_text().splitlines():
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) * 1024
        raise AssertionError('the process is gone')
