"""What is known of devices before torch is imported, which takes seconds that a menu must not wait."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..util.host import free_ram


def default_device() -> str:
    """The device that load() takes: asked of torch where it is imported already, else guessed from the driver."""
    torch: Any = sys.modules.get('torch')
    if torch is not None:
        with contextlib.suppress(Exception):  # load() raises the sentence for a broken driver
            return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    if os.environ.get('CUDA_VISIBLE_DEVICES', '0') in ('', '-1') or _torch_is_cpu_only():
        return 'cpu'
    driver = Path(os.environ.get('SYSTEMROOT', 'C:\\Windows'), 'System32', 'nvcuda.dll')
    return 'cuda:0' if Path('/dev/nvidiactl').exists() or driver.exists() else 'cpu'


def free_memory(device: str) -> int | None:
    """Bytes that can be had on `device` now; None where that is not known, as of a GPU before torch is imported."""
    kind = device.partition(':')[0]
    torch: Any = sys.modules.get('torch')
    if kind == 'cuda' and torch is not None:
        with contextlib.suppress(Exception):
            # What PyTorch has reserved and does not use can be had too.
            unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return int(torch.cuda.mem_get_info(device)[0] + unused)
    return free_ram() if kind == 'cpu' else None


def _torch_is_cpu_only() -> bool:
    try:
        return version('torch').endswith('+cpu')
    except PackageNotFoundError:
        return False
