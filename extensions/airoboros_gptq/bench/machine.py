"""The machine of a report: processor, versions, memory and read bandwidth."""

from __future__ import annotations

import contextlib
import mmap
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..util.host import cpu_name, peak_process_memory, reset_peak_process_memory
from .clock import clock_name, now

_PACKAGES = ('torch', 'transformers', 'triton', 'numpy')
_BUFFER = {'cpu': 1 << 29, 'cuda': 1 << 32}  # far larger than any cache


def describe(device: str, threads: int) -> dict[str, Any]:
    """Processor, memory, GPU and versions, for the report."""
    import torch

    about: dict[str, Any] = {
        'system': f'{platform.system()} {platform.machine()}',
        'processor': cpu_name(),
        'cores': os.cpu_count(),
        'threads': threads,
        'instructions': torch.backends.cpu.get_cpu_capability(),
        'device': device,
        'clock': clock_name(),
        'python': platform.python_version(),
    }
    if device.startswith('cuda'):
        about['gpu'] = torch.cuda.get_device_name(device)
        about['cuda'] = torch.version.cuda or torch.version.hip
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            about[package] = version(package)
    return about


def read_bandwidth(device: str) -> float:
    """Bytes per second that the device reads from its memory: the best of several sums over a large buffer."""
    import torch

    size = _BUFFER['cuda' if device.startswith('cuda') else 'cpu']
    buffer = torch.ones(size // 4, dtype=torch.float32, device=device)
    best = 0.0
    for _ in range(10):
        synchronize(device)
        start = now()
        buffer.sum()
        synchronize(device)
        best = max(best, size / (now() - start))
    return best


def synchronize(device: str) -> None:
    """Waits for the device's queue."""
    if device.startswith('cuda'):
        import torch

        torch.cuda.synchronize(device)


def file_read_seconds(paths: list[Path], times: int = 2) -> float:
    """Seconds to read files in full, the last of `times`: by default the second, from the page cache."""
    buffer = bytearray(1 << 24)
    for _ in range(times):
        start = now()
        for path in paths:
            with open(path, 'rb', buffering=0) as file:
                while file.readinto(buffer):
                    pass
    return now() - start


def drop_file_cache(paths: list[Path]) -> bool:
    """Drops files from the page cache, so that the disk is read again; False where the system cannot."""
    if not hasattr(os, 'posix_fadvise'):
        return False
    for path in paths:
        with open(path, 'rb', buffering=0) as file:
            os.fsync(file.fileno())  # dirty pages would stay
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def file_into_memory_seconds(paths: list[Path]) -> float:
    """Seconds to read files from the page cache into newly allocated memory, which the system has to map and clear."""
    buffers = []
    start = now()
    for path in paths:
        buffers.append(mmap.mmap(-1, max(1, path.stat().st_size)))
        with contextlib.suppress(AttributeError, OSError):
            buffers[-1].madvise(mmap.MADV_HUGEPAGE)
        with open(path, 'rb', buffering=0) as file, memoryview(buffers[-1]) as view:
            at = 0
            while count := file.readinto(view[at : at + (1 << 24)]):
                at += count
    seconds = now() - start
    for buffer in buffers:
        buffer.close()
    return seconds


def reset_peak_memory(device: str) -> None:
    """Begins a new measurement of peak_memory(), where the system can."""
    if device.startswith('cuda'):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    else:
        reset_peak_process_memory()


def peak_memory(device: str) -> int | None:
    """The most bytes in use at once: of the device, or of this process for CPUs. None where that is not known."""
    if device.startswith('cuda'):
        import torch

        return torch.cuda.max_memory_allocated(device)
    return peak_process_memory()
