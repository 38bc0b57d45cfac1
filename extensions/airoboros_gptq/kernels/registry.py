"""The one seam where the kernel of a GPTQLinear is chosen."""

from __future__ import annotations

import torch

from ..errors import GPTQError
from .auto_gptq import AutoGPTQKernel
from .base import Kernel
from .cpu.kernel import NativeCpuKernel
from .packing import LinearSpec
from .reference import ReferenceKernel
from .torch_int4 import TorchInt4Kernel
from .triton.kernel import TritonKernel

# Fastest first.
KERNELS: tuple[type[Kernel], ...] = (NativeCpuKernel, TritonKernel, TorchInt4Kernel, AutoGPTQKernel, ReferenceKernel)


def choose_kernel(name: str, spec: LinearSpec, device: torch.device) -> type[Kernel]:
    """The kernel called `name` for `spec` on `device`; 'auto' is the fastest that fits the file and the device.

    Raises GPTQError where there is no such kernel, or it cannot run this linear.
    """
    if name == 'auto':
        return next(k for k in KERNELS if k.why_not(spec, device) is None and k.is_worthwhile(spec, device))
    kernel = next((k for k in KERNELS if k.name == name), None)
    if kernel is None:
        raise GPTQError(f'There is no kernel {name}; choose one of auto, {", ".join(k.name for k in KERNELS)}.')
    reason = kernel.why_not(spec, device)
    if reason is not None:
        raise GPTQError(f'The kernel {name} cannot run this model here: {reason}; choose auto.')
    return kernel
