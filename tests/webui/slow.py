"""Makes a model take a given time over each token: on a CPU Python sleeps for the rest of it, a GPU is kept busy."""

from __future__ import annotations

import functools
import time

_TIMED = 5
_MANY = 10**8


def slow_down(model, seconds: float) -> None:
    """Every pass of the model takes at least so long from now on. A second call changes nothing."""
    if hasattr(model.forward, 'slowed_down'):
        return
    slow = _on_gpu if model.device.type == 'cuda' else _on_cpu
    model.forward = slow(model.forward, seconds)
    model.forward.slowed_down = True


def _on_cpu(inner, seconds: float):
    @functools.wraps(inner)
    def forward(*args, **kwargs):
        end = time.perf_counter() + seconds
        made = inner(*args, **kwargs)
        time.sleep(max(0.0, end - time.perf_counter()))
        return made

    return forward


def _on_gpu(inner, seconds: float):
    """The device works on for what its own work on a token leaves of the time, and Python goes on at once."""
    import torch

    own: list[float] = []  # seconds of the first passes over one token, which are waited for
    busy = 0

    @functools.wraps(inner)
    def forward(*args, **kwargs):
        nonlocal busy
        ids = kwargs.get('input_ids', args[0] if args else None)
        if len(own) < _TIMED and ids.shape[1] == 1:
            torch.cuda.synchronize()
            start = time.perf_counter()
            made = inner(*args, **kwargs)
            torch.cuda.synchronize()
            own.append(time.perf_counter() - start)
            busy = int(max(0.0, seconds - min(own)) * _cycles_of_a_second())
            return made
        made = inner(*args, **kwargs)
        if ids.shape[1] == 1:
            torch.cuda._sleep(busy)
        return made

    return forward


@functools.lru_cache
def _cycles_of_a_second() -> float:
    """How many cycles a device is to be told to be busy for, for one second."""
    import torch

    torch.cuda._sleep(1)
    torch.cuda.synchronize()
    start = time.perf_counter()
    torch.cuda._sleep(_MANY)
    torch.cuda.synchronize()
    return _MANY / (time.perf_counter() - start)
