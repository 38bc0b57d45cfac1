"""The clock of all measurements: wall time, or with `--processor-time` CPU time, which other work does not slow."""

from __future__ import annotations

import os
import time

_VARIABLE = 'AIROBOROS_GPTQ_BENCH_CLOCK'  # engines in processes of their own read it


def use_processor_time() -> None:
    """Switches to CPU time for all later measurements, also of engines started later."""
    os.environ[_VARIABLE] = 'processor'


def clock_name() -> str:
    """'wall' or 'processor'."""
    return os.environ.get(_VARIABLE, 'wall')


def now() -> float:
    """Seconds."""
    return time.process_time() if clock_name() == 'processor' else time.perf_counter()
