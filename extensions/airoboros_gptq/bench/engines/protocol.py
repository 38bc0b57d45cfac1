"""What an engine is, and the worker's side of one: a process that answers one JSON object per line.

{"do": "prefill", "count": 64} or {"do": "decode", "context": 16, "count": 32} is answered with {"seconds": ...}; the first line
is the engine's `about`, once it is ready. A worker may run in another Python environment: this file imports no other module of
the package, and torch only where an engine has it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol


class Engine(Protocol):
    """What `bench` measures. `about` has its 'version', what is 'running', and perhaps 'weight_bytes_per_token'."""

    about: dict[str, Any]

    def prefill(self, count: int) -> float:
        """Seconds to read a prompt of `count` tokens into an empty KV cache."""

    def decode(self, context: int, count: int) -> float:
        """Seconds to decode `count` tokens greedily after `context` others."""


class StepwiseEngine:
    """prefill() and decode() of an engine that takes token ids and returns logits.

    A subclass has `ids`, those of a prompt, int64 [1, n]; reset() empties its KV cache, forward(ids) appends to it and returns
    logits [1, n or 1, vocabulary], crop(length) shortens it, and now() waits for the device and returns seconds.
    """

    ids: Any
    reset: Callable[[], None]
    forward: Callable[[Any], Any]
    crop: Callable[[int], None]
    now: Callable[[], float]
    cached_tokens = 0

    def prefill(self, count: int) -> float:
        self.reset()
        self.cached_tokens = count
        start = self.now()
        self.forward(self.ids[:, :count])
        return self.now() - start

    def decode(self, context: int, count: int) -> float:
        if self.cached_tokens != context:
            self.prefill(context)
        token = self.ids[:, context - 1 : context]
        start = self.now()
        for _ in range(count):
            token = self.forward(token)[:, -1:].argmax(-1).to(self.ids.device)
        seconds = self.now() - start
        self.crop(context)
        return seconds


def random_prompt(vocabulary: int, device: str = 'cpu') -> Any:
    """4096 random token ids, int64 [1, 4096], the same in every engine. None is a special token."""
    import torch

    generator = torch.Generator().manual_seed(2023)
    return torch.randint(3, vocabulary, (1, 4096), generator=generator).to(device)


def serve(make_engine: Callable[[Path, str, int], Engine]) -> None:
    """Runs a worker with the engine that `make_engine(folder, device, threads)` returns."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # libraries print to stdout

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        engine = make_engine(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
        answer(**engine.about)
        for line in sys.stdin:
            request = json.loads(line)
            answer(seconds=getattr(engine, request.pop('do'))(**request))
    except Exception as e:  # reported to the process that asked, in one line
        answer(error=' '.join(f'{type(e).__name__}: {e}'.split()))
