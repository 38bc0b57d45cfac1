"""The clock of all measurements: the wall's, or with `--processor-time` the processor's, which other work does not slow."""

from __future__ import annotations

import os
import time

_NAME = 'AIROBOROS_GPTQ_BENCH_CLOCK'  # by which engines in processes of their own hear of it


def use_processor_time() -> None:
    """For all that is measured from now on, by engines started from now on too."""
    os.environ[_NAME] = 'processor'


def clock_name() -> str:
    return os.environ.get(_NAME, 'wall')


def now() -> float:
    """Seconds."""
    return time.process_time() if clock_name() == 'processor' else time.perf_counter()
