"""Serves the demo page on this machine alone, and lets it load nothing from anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware

from ..errors import GPTQError
from .chat import find_models
from .page import DemoPage

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What the page may fetch, whatever a folder or a model writes into it: an image address in an answer would tell a
# stranger who reads it, and when. 'unsafe-inline' and 'unsafe-eval' are for gradio's own scripts.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "frame-src 'none'; object-src 'none'; base-uri 'self'; form-action 'self'"
)


def serve(model_dirs: list[str], port: int | None = None, open_browser: bool = True, model: str | None = None) -> int:
    """Serves the page on 127.0.0.1 until Ctrl+C; returns the exit code.

    `model` names the one to load at once; by default that is the only one. Raises GPTQError for folders without models, a
    name that is not among them, and a port that cannot be had.
    """
    folders = [Path(folder).expanduser() for folder in model_dirs]
    models = find_models(folders)
    if model is not None and model not in models:
        raise GPTQError(f'There is no model {model} here; there is {", ".join(models)}.')
    demo = DemoPage(folders)
    page = demo.build()
    page.queue()
    try:
        page.launch(
            server_name='127.0.0.1',
            server_port=port,
            inbrowser=open_browser,
            show_api=False,
            quiet=True,
            share=False,
            ssr_mode=False,
            prevent_thread_lock=True,
            app_kwargs={'middleware': [Middleware(_SecurityHeaders)]},
        )
    except OSError as e:
        asked = f'The port {port}' if port else 'No port from 7860 to 7959'
        raise GPTQError(f'{asked} cannot be had, another program may use it; name a free one by --port.') from e
    if model or len(models) == 1:
        demo.load(model or next(iter(models)))
    print(f'Open {page.local_url} in a browser; Ctrl+C ends.', file=sys.stderr, flush=True)
    try:
        while True:  # not an Event: on Windows Ctrl+C does not interrupt one
            time.sleep(0.5)
    except KeyboardInterrupt:
        print('The demo has ended.', file=sys.stderr, flush=True)
        return 0
    finally:
        page.close(verbose=False)


class _SecurityHeaders:
    """ASGI middleware: each response carries CONTENT_SECURITY_POLICY."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [
                    *message.get('headers', ()),
                    (b'content-security-policy', CONTENT_SECURITY_POLICY.encode()),
                    (b'referrer-policy', b'no-referrer'),
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope['type'] == 'http' else send)
