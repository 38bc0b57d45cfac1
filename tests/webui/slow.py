"""Slows a model down to a given time per token: on a CPU Python sleeps, a GPU is kept busy."""

from __future__ import annotations

import functools
import time

_TIMED_PASSES = 5
_CYCLES = 10**8


def slow_down(model, seconds: float) -> None:
    """Every forward pass takes at least `seconds` from now on. A second call changes nothing."""
    if hasattr(model.forward, 'slowed_down'):
        return
    slow = _on_gpu if model.device.type == 'cuda' else _on_cpu
    model.forward = slow(model.forward, seconds)
    model.forward.slowed_down = True


def _on_cpu(inner, seconds: float):
    @functools.wraps(inner)
    def forward(*args, **kwargs):
        end = time.perf_counter() + seconds
        output = inner(*args, **kwargs)
        time.sleep(max(0.0, end - time.perf_counter()))
        return output

    return forward


def _on_gpu(inner, seconds: float):
    """Keeps the device busy for the rest of `seconds` after each token; Python does not wait."""
    import torch

    own: list[float] = []  # seconds of the first passes over one token, which are synchronised
    busy = 0

    @functools.wraps(inner)
    def forward(*args, **kwargs):
        nonlocal busy
        ids = kwargs.get('input_ids', args[0] if args else None)
        if len(own) < _TIMED_PASSES and ids.shape[1] == 1:
            torch.cuda.synchronize()
            start = time.perf_counter()
            output = inner(*args, **kwargs)
            torch.cuda.synchronize()
            own.append(time.perf_counter() - start)
            busy = int(max(0.0, seconds - min(own)) * _cycles_per_second())
            return output
        output = inner(*args, **kwargs)
        if ids.shape[1] == 1:
            torch.cuda._sleep(busy)
        return output

    return forward


@functools.lru_cache
def _cycles_per_second() -> float:
    """Cycles of torch.cuda._sleep that take one second."""
    import torch

    torch.cuda._sleep(1)
    torch.cuda.synchronize()
    start = time.perf_counter()
    torch.cuda._sleep(_CYCLES)
    torch.cuda.synchronize()
    return _CYCLES / (time.perf_counter() - start)
