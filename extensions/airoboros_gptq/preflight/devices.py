"""What is known of devices before torch is imported, which takes seconds that a menu must not wait."""

from __future__ import annotations

import contextlib
import os
import re
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
    return 'cuda:0' if _has_nvidia_driver() and not _torch_is_cpu_only() else 'cpu'


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


def device_problem(device: str) -> str | None:
    """The sentence for an NVIDIA GPU that the installed PyTorch has no kernels for, as 'cuda:0'; None where it has, for any other
    device, and before torch is imported.

    Source: NVIDIA's Ada compatibility guide. A cubin, 'sm_86', runs on its major version from its minor on; PTX,
    'compute_90', on each capability from its own on.
    """
    torch: Any = sys.modules.get('torch')
    if torch is None or device.partition(':')[0] != 'cuda':
        return None
    with contextlib.suppress(Exception):  # load() raises the sentence for a broken driver
        built = list(torch.cuda.get_arch_list())
        capability = tuple(torch.cuda.get_device_capability(device))
        if torch.version.hip or not built or any(_runs_on(arch, capability) for arch in built):
            return None
        return (
            f'PyTorch {torch.__version__} was not built for the GPU {torch.cuda.get_device_name(device)} '
            f'(sm_{capability[0]}{capability[1]}) but for {", ".join(built)}; install a PyTorch that was, or load on the CPU.'
        )
    return None


def idle_gpu() -> str | None:
    """The sentence for an NVIDIA GPU beside a PyTorch that was built for the CPU alone; None where there is no such thing."""
    if not (_torch_is_cpu_only() and _has_nvidia_driver()):
        return None
    return (
        f'The NVIDIA GPU of this machine is not used: PyTorch {version("torch")} was built for the CPU alone; '
        'install a PyTorch built for CUDA.'
    )


def _runs_on(arch: str, capability: tuple[int, ...]) -> bool:
    """Whether what PyTorch was built for, as 'sm_90a' or 'compute_90', runs on a GPU; True for what is written otherwise."""
    match = re.fullmatch(r'(sm|compute)_(\d+)(\d)([af]?)', arch)
    if match is None:
        return True
    built = int(match[2]), int(match[3])
    if match[4] == 'a':  # architecture-specific: runs on exactly this
        return built == capability
    return built <= capability and ((match[1] == 'compute' and not match[4]) or built[0] == capability[0])


def _has_nvidia_driver() -> bool:
    """Whether there seems to be an NVIDIA GPU that programs may use."""
    if os.environ.get('CUDA_VISIBLE_DEVICES', '0') in ('', '-1'):
        return False
    driver = Path(os.environ.get('SYSTEMROOT', 'C:\\Windows'), 'System32', 'nvcuda.dll')
    return Path('/dev/nvidiactl').exists() or driver.exists()


def _torch_is_cpu_only() -> bool:
    try:
        return version('torch').endswith('+cpu')
    except PackageNotFoundError:
        return False
