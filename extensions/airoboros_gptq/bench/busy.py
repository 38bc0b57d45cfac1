"""Decode beside a process that takes a core, as a browser or a compiler does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Protocol

_SECONDS = 20.0  # after which no further round begins
# It ends with its parent, which may be killed.
_LOOP = """
import os
print(flush=True)
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(10**6):
        pass
"""


class Decoder(Protocol):
    """The part of an Engine that is measured here."""

    def decode(self, context: int, count: int) -> float: ...


@contextmanager
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes one core for as long as the block runs, from its first instruction on."""
    process = subprocess.Popen([sys.executable, '-c', _LOOP], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def decode_beside_busy_process(engine: Decoder, context: int, count: int, rounds: int) -> dict[str, Any]:
    """Decode speed after `context` tokens, without and with one busy process, in alternating runs of `count` tokens."""
    idle, busy = [], []
    end = time.perf_counter() + _SECONDS
    for _ in range(rounds):
        idle.append(engine.decode(context, count))
        with busy_process():
            busy.append(engine.decode(context, count))
        if time.perf_counter() > end:
            break
    return {
        'context': context,
        'tokens': count,
        'idle_tokens_per_second': count / median(idle),
        'busy_tokens_per_second': count / median(busy),
        'ratio': median(idle) / median(busy),
        'idle_runs': idle,
        'busy_runs': busy,
    }
