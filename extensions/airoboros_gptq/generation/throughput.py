"""What a loaded model does at a glance: tokens per second of its last answer, and the memory that it takes."""

from __future__ import annotations

import functools
import time
import weakref
from dataclasses import dataclass

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ..util.formatting import format_bytes


@dataclass(frozen=True)
class Pace:
    """How long an answer took: `seconds` from the call of generate() to its last token, the prompt included."""

    tokens: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.tokens / self.seconds

    def __str__(self) -> str:
        return f'{self.per_second:.{1 if self.per_second < 100 else 0}f} tokens/s'


class Meter:
    """Counts the tokens of every generate() of a model, whoever calls it and however it ends."""

    def __init__(self, model):
        # The class's own generate() is held weakly: a model that holds itself is not freed when it is unloaded.
        inner = vars(model).get('generate')
        method = weakref.WeakMethod(model.generate) if inner is None else None
        self._counting: _Count | None = None

        @functools.wraps(model.generate)
        def generate(*args, **kwargs):
            prompt = next((kwargs[k] for k in ('inputs', 'input_ids') if kwargs.get(k) is not None), None)
            prompt = args[0] if prompt is None and args else prompt
            self._counting = _Count(0 if prompt is None else prompt.shape[-1])
            if len(args) < 4:  # else the fourth is the list, and the one who passes it so goes unmeasured
                kwargs['stopping_criteria'] = StoppingCriteriaList(
                    [self._counting, *(kwargs.get('stopping_criteria') or ())]
                )
            return (inner or method())(*args, **kwargs)

        del generate.__wrapped__  # it is the bound method, and so the model
        model.generate = generate

    @property
    def pace(self) -> Pace | None:
        """Of the last answer, or of the one being written; None before the first token of the first."""
        return self._counting.pace() if self._counting else None


class _Count(StoppingCriteria):
    """Is asked after each token whether to stop, never says so, and counts."""

    takes_ids_on_the_cpu = True  # token_loop.py's IDS_ON_CPU

    def __init__(self, prompt_length: int):
        self.prompt_length, self.length = prompt_length, prompt_length
        self.start = self.last = time.perf_counter()
        self.no: torch.Tensor | None = None

    def __call__(self, input_ids, scores, **kwargs) -> torch.Tensor:
        """input_ids [batch, length] -> False [batch]."""
        if self.no is None or len(self.no) != len(input_ids):
            self.no = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        self.length, self.last = input_ids.shape[-1], time.perf_counter()
        return self.no

    def pace(self) -> Pace | None:
        tokens = self.length - self.prompt_length
        return Pace(tokens, self.last - self.start) if tokens > 0 else None


def memory_taken(model) -> str:
    """What weights and caches take of the GPU; on a CPU what the whole process takes of RAM, in words."""
    devices = {p.device for p in model.parameters() if p.device.type == 'cuda'}
    devices |= {b.device for b in model.buffers() if b.device.type == 'cuda'}
    if devices:
        return f'{format_bytes(sum(map(torch.cuda.memory_allocated, devices)))} of GPU memory'
    import psutil

    return f'{format_bytes(psutil.Process().memory_info().rss)} of RAM'
