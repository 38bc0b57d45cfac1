"""The webui's API: a client that has gone is noticed, its stream closed at once, and a load that failed is told.

A stream of the API is a chain of generators, and the innermost holds the generation lock while it is suspended. Where a
client goes while a chunk is being sent, sse-starlette cancels the task that sends and leaves the chain as it is. It would
be closed when it is freed, but anyio's TaskGroup leaves each cancelled task in a cycle (the exception, its traceback, the
frame of `task_done`, the exception), so it is freed by the next garbage collection; and where every other client waits for
the lock nothing is allocated, so there is none. Seen with sse-starlette 1.6.5 and anyio 4.16, of the webui alone as well.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from modules import shared
from modules.logging_colors import logger

from ..names import EXTENSION
from . import versions
from .loader import gptq_loader

_LOAD_PATH = '/v1/internal/model/load'
_STATUS = 500  # the webui's own for a load that raised
# Set once the client of a stream has gone. The threads that advance a stream run in copies of its request's context.
_client_gone: ContextVar[threading.Event | None] = ContextVar('client_gone', default=None)
_load_handlers: list[tuple[Any, Callable[..., Any]]] = []  # (FastAPI's dependant, the webui's handler in it)


def is_on() -> bool:
    """Whether this webui has its API on. Imports the API's module: with --nowebui it comes after extensions."""
    flags = (getattr(shared.args, name, False) for name in ('api', 'public_api'))
    if not (any(flags) or 'openai' in (getattr(shared.args, 'extensions', None) or ())):
        return False
    try:
        importlib.import_module(versions.api_script())
    except Exception as e:  # its requirements, which the webui itself will miss in a moment
        logger.debug(f'{EXTENSION}: no API ({e})')
        return False
    return True


# A client that has gone


def abandoned(state: dict[str, Any]) -> Callable[[], bool]:
    """abandoned()(): whether the client has gone for whom this thread is about to generate with `state`. `stop_event`
    is the webui's, since v4.0; the other one is that of closing_response().
    """
    events = [event for event in (state.get('stop_event'), _client_gone.get()) if event is not None]
    return lambda: any(event.is_set() for event in events)


@functools.lru_cache
def closing_response(response_class: type) -> type:
    """A subclass of EventSourceResponse that closes its iterator at the end, however it ended."""

    class ClosingResponse(response_class):
        async def __call__(self, scope: Any, receive: Callable[..., Any], send: Any) -> None:
            gone = threading.Event()

            async def receive_and_note() -> Any:
                message = await receive()
                if message['type'] == 'http.disconnect':
                    gone.set()
                return message

            token = _client_gone.set(gone)
            try:
                await super().__call__(scope, receive_and_note, send)
            finally:
                _client_gone.reset(token)
                gone.set()
                # No task of the response runs any more, so the iterator is suspended or has ended. Closing it awaits nothing.
                with contextlib.suppress(RuntimeError):
                    await self.body_iterator.aclose()

    return ClosingResponse


# A load that failed


def report_failed_loads() -> None:
    """Makes the API's load answer with the loader's sentence where airoboros-GPTQ was asked for and failed. The webui
    answers 200 "OK", since its loaders return None, and goes on naming the model as loaded.
    """
    if _load_handlers or not is_on():
        return
    script = importlib.import_module(versions.api_script())
    for route in script.app.routes:
        if getattr(route, 'path', None) == _LOAD_PATH and hasattr(route, 'dependant'):
            handler = route.dependant.call
            _load_handlers.append((route.dependant, handler))
            route.dependant.call = _reporting(handler, script.HTTPException)


def undo() -> None:
    """Restores the webui's handler."""
    while _load_handlers:
        dependant, handler = _load_handlers.pop()
        dependant.call = handler


def _reporting(handler: Callable[..., Any], http_exception: type[Exception]) -> Callable[..., Any]:
    @functools.wraps(handler)
    async def handle_load_model(*args: Any, **kwargs: Any) -> Any:
        gptq_loader.load_error = None
        answer = await handler(*args, **kwargs)
        if shared.model is None and gptq_loader.load_error:
            shared.model_name = 'None'
            raise http_exception(status_code=_STATUS, detail=gptq_loader.load_error)
        return answer

    return handle_load_model
