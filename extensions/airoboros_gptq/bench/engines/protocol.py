"""The worker's side of an engine: a process that answers one JSON object per line.

{"do": "prefill", "count": 64} or {"do": "decode", "context": 16, "count": 32} is answered with {"seconds": ...}; the first line
says which engine it is, once it is ready. A worker may run in another Python environment, so this file imports nothing else.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class StepwiseEngine:
    """prefill() and decode() of an engine that takes token ids and returns logits.

    A subclass has `ids` [1, n] of a prompt; reset() empties its cache, forward(ids) appends to it, crop(length) shortens it, and
    now() waits for the device and returns seconds.
    """

    ids: Any
    reset: Callable[[], None]
    forward: Callable[[Any], Any]
    crop: Callable[[int], None]
    now: Callable[[], float]
    cached_tokens = 0

    def prefill(self, count: int) -> float:
        """Seconds to read a prompt of `count` tokens."""
        self.reset()
        self.cached_tokens = count
        start = self.now()
        self.forward(self.ids[:, :count])
        return self.now() - start

    def decode(self, context: int, count: int) -> float:
        """Seconds to decode `count` tokens greedily after `context` others."""
        if self.cached_tokens != context:
            self.prefill(context)
        token = self.ids[:, context - 1 : context]
        start = self.now()
        for _ in range(count):
            token = self.forward(token)[:, -1:].argmax(-1).to(self.ids.device)
        seconds = self.now() - start
        self.crop(context)
        return seconds


def serve(make_engine: Callable[[Path, str, int], Any]) -> None:
    """Runs a worker: `make_engine(folder, device, threads)` returns an engine with prefill(), decode() and `about`."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what libraries print must not come between

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        engine = make_engine(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
        answer(**engine.about)
        for line in sys.stdin:
            request = json.loads(line)
            answer(seconds=getattr(engine, request.pop('do'))(**request))
    except Exception as e:  # told to the process that asked, in one line
        answer(error=' '.join(f'{type(e).__name__}: {e}'.split()))
