"""A local stand-in for the Hugging Face hub: the few paths that download-model.py requests."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_TREE = re.compile(r'/api/models/([^/]+/[^/]+)/tree/([^/]+)')
_FILE = re.compile(r'/([^/]+/[^/]+)/resolve/([^/]+)/(.+)')


class Hub:
    """Repositories by (name, branch) -> {file name: path}, served on loopback. Use as a context manager.

    `requests` records each download as (name, first byte requested); `cut` has names of files whose next download is cut
    off half way.
    """

    def __init__(self, repositories: dict[tuple[str, str], dict[str, Path]]):
        self.repositories, self.requests, self.cut = repositories, [], set()
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), type('Handler', (_Handler,), {'hub': self}))
        self.url = f'http://127.0.0.1:{self._server.server_port}'

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._file(head=True)

    def do_GET(self):
        address = urlsplit(self.path)
        if tree := _TREE.fullmatch(address.path):
            files = self.hub.repositories.get(tree.groups())
            if files is None:
                return self.send_error(404)
            listed = [] if 'cursor=' in address.query else [_entry(name, path) for name, path in files.items()]
            return self._send(200, json.dumps(listed).encode())
        self._file()

    def _file(self, head: bool = False):
        found = _FILE.fullmatch(urlsplit(self.path).path)
        path = found and self.hub.repositories.get(found.groups()[:2], {}).get(found[3])
        if not path:
            return self.send_error(404)
        data, name = path.read_bytes(), found[3]
        first = int((self.headers.get('Range') or 'bytes=0-').removeprefix('bytes=').split('-')[0])
        if head:
            return self._send(200, b'', {'Content-Length': str(len(data))})
        self.hub.requests.append((name, first))
        rest, extra = data[first:], {}
        if first:
            extra = {'Content-Range': f'bytes {first}-{len(data) - 1}/{len(data)}'}
        if name not in self.hub.cut:
            return self._send(206 if first else 200, rest, extra)
        self.hub.cut.discard(name)
        self._send(200, rest[: len(rest) // 2], {'Content-Length': str(len(rest))})
        self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None):
        self.send_response(status)
        for key, value in {'Content-Length': str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


def _entry(name: str, path: Path) -> dict:
    size = path.stat().st_size
    if not name.endswith(('.safetensors', '.model')):
        return {'type': 'file', 'path': name, 'size': size}
    oid = hashlib.sha256(path.read_bytes()).hexdigest()
    return {'type': 'file', 'path': name, 'size': size, 'lfs': {'oid': oid, 'size': size}}
