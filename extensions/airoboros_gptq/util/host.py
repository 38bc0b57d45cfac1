"""The machine that this runs on: its processor, and the memory of the machine and of this process, in bytes.

psutil, which accelerate brings along, is imported when memory is asked for.
"""

from __future__ import annotations

import contextlib
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

_PROC = Path('/proc')  # Linux's; elsewhere it is not there


@lru_cache
def cpu_flags() -> frozenset[str]:
    """The instruction sets of the processor by the names of Linux, as 'avx2'; empty on other systems."""
    return frozenset(_proc_value('cpuinfo', 'flags').split())


def cpu_name() -> str:
    """The processor as its maker calls it, on Linux; as Python does elsewhere."""
    return _proc_value('cpuinfo', 'model name') or platform.processor() or platform.machine()


def free_ram() -> int | None:
    """RAM that programs can have without swapping; None where psutil is not installed."""
    psutil = _psutil()
    return None if psutil is None else int(psutil.virtual_memory().available)


def process_memory() -> int | None:
    """RAM that this process takes (its resident set); None where psutil is not installed."""
    psutil = _psutil()
    return None if psutil is None else int(psutil.Process().memory_info().rss)


def reset_peak_process_memory() -> None:
    """Begins a new measurement of peak_process_memory(), where the system can: Linux, with the right to write to /proc."""
    with contextlib.suppress(OSError):
        (_PROC / 'self' / 'clear_refs').write_text('5')


def peak_process_memory() -> int | None:
    """The most RAM that this process took at once; None on Windows."""
    kilobytes = _proc_value('self/status', 'VmHWM').split()
    if kilobytes:
        return int(kilobytes[0]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == 'Darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _proc_value(file: str, key: str) -> str:
    """What follows 'key:' in its first line in a file of /proc; '' where there is none."""
    with contextlib.suppress(OSError):
        for line in (_PROC / file).read_text().splitlines():
            name, _, value = line.partition(':')
            if name.strip() == key:
                return value.strip()
    return ''


def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        return None
    return psutil
