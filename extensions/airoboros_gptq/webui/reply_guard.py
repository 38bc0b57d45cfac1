"""Keeps an answer that nobody reads from holding the webui's generation lock.

generate_reply() of the webui holds its lock from the first reply to the last, also while it is suspended between two of
them. A reader that stops reading without closing it so stops every other answer: a client that leaves its connection open
and reads no more, or a stream that a library has forgotten without closing it (api.py has the case that is known).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from typing import Any

STALLED_AFTER = 4.0  # seconds without a reader, after which the answer goes on without one
_CHECK_EVERY = 1.0  # seconds
_END = object()


def attended(replies: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """The same replies, each the whole answer so far. While nobody asks for the next one for STALLED_AFTER, they are made
    all the same, to the last, and the lock is free; a reader that comes back gets the newest. Closing this closes `replies`.
    """
    answer = _AttendedAnswer(replies)
    try:
        while (reply := answer.next()) is not _END:
            yield reply
    finally:
        answer.close()


class _AttendedAnswer:
    """Replies that are advanced by their reader, or by an attendant's thread while there is none."""

    def __init__(self, replies: Generator[Any, None, None]) -> None:
        self._replies = replies
        self._advancing = threading.Lock()  # held by whoever advances or closes `replies`
        self._newest: Any = _END  # made by the attendant, and not yet read
        self._error: BaseException | None = None  # raised by `replies` to the attendant
        self._handed_out: float | None = None  # when the reader got its last reply; None while it waits for one
        self._wanted = threading.Event()  # the reader waits
        self._ended, self._closed = threading.Event(), threading.Event()
        threading.Thread(target=self._attend, daemon=True, name='airoboros_gptq attendant').start()

    def next(self) -> Any:
        """The next reply; _END after the last. Raises what `replies` raises."""
        self._handed_out = None
        self._wanted.set()
        with self._advancing:
            self._wanted.clear()
            reply, self._newest = self._newest, _END
            if reply is _END:
                reply = self._advance()
        self._handed_out = time.monotonic()
        return reply

    def close(self) -> None:
        """Closes `replies`, without waiting: where the attendant is advancing them it closes them after that."""
        self._closed.set()
        if self._advancing.acquire(blocking=False):
            try:
                self._replies.close()
            finally:
                self._advancing.release()

    def _advance(self) -> Any:
        if self._error is not None:
            raise self._error
        try:
            return next(self._replies)
        except StopIteration:
            self._ended.set()
            return _END

    def _attend(self) -> None:
        while not (self._closed.wait(_CHECK_EVERY) or self._ended.is_set()):
            since = self._handed_out
            if since is not None and time.monotonic() - since >= STALLED_AFTER:
                self._go_on_alone()
        with self._advancing:
            self._replies.close()

    def _go_on_alone(self) -> None:
        while not (self._wanted.is_set() or self._closed.is_set() or self._ended.is_set()):
            with self._advancing:
                try:
                    reply = self._advance()
                except BaseException as e:  # the reader's to know, should it come back
                    self._error = e
                    self._ended.set()
                    return
                if reply is not _END:
                    self._newest = reply
