"""The one place where the kernel of a GPTQLinear is selected."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..checkpoint.linear_spec import LinearSpec
from ..errors import GPTQError
from .base import Kernel
from .cpu.kernel import NativeCpuKernel
from .reference import ReferenceKernel
from .rules import RULES, KernelRule, refusal, resolve_kernel_name, rule_named, target_of
from .slow_kernels import describe_slow_kernels
from .torch_int4 import TorchInt4Kernel
from .triton.kernel import TritonKernel

_BY_NAME: dict[str, type[Kernel]] = {
    kernel.name: kernel for kernel in (NativeCpuKernel, TritonKernel, TorchInt4Kernel, ReferenceKernel)
}
KERNELS = tuple(_BY_NAME[rule.name] for rule in RULES)  # fastest first


def select_kernel(name: str, spec: LinearSpec, device: torch.device) -> type[Kernel]:
    """The kernel called `name` for `spec` on `device`; 'auto' is the fastest that fits the file and the device.

    Raises GPTQError where there is no such kernel, or it cannot run this linear.
    """
    name = resolve_kernel_name(name)
    if name == 'auto':
        target = target_of(str(device))
        fits = (k for k in KERNELS if k.rule.preferred_by_auto(target) and k.unsupported_reason(spec, device) is None)
        return next(fits, ReferenceKernel)
    kernel = _BY_NAME[rule_named(name).name]
    reason = kernel.unsupported_reason(spec, device)
    if reason is not None:
        raise GPTQError(refusal(name, reason))
    return kernel


def slow_kernels(kernels: Iterable[tuple[Kernel, torch.device]]) -> list[str]:
    """A sentence for each kind of linears whose kernel, which 'auto' chose, is not the fastest of the device that it is on."""
    by_device: dict[torch.device, list[tuple[LinearSpec, KernelRule]]] = {}
    for kernel, device in kernels:
        by_device.setdefault(device, []).append((kernel.spec, kernel.rule))
    return [
        sentence
        for device, linears in by_device.items()
        for sentence in describe_slow_kernels(
            linears,
            target_of(str(device)),
            lambda rule, spec, at=device: _BY_NAME[rule.name].unsupported_reason(spec, at),  # type: ignore[misc]
        )
    ]
