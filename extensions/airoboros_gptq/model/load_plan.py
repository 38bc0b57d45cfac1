"""What load() was asked for, resolved: which folder, onto which device, in which dtype, with which kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from ..checkpoint.checkpoint import Checkpoint
from ..checkpoint.hf_config import config_dtype
from ..checkpoint.linear_spec import LinearSpec
from ..errors import GPTQError
from ..kernels.cpu.library_cache import will_compile
from ..kernels.registry import select_kernel
from ..kernels.rules import default_dtype, resolve_kernel_name, target_of
from ..preflight.devices import device_problem, idle_gpu
from ..preflight.folder_summary import FolderSummary

log = logging.getLogger('airoboros_gptq')

# accelerate's: {0: '10GiB', 'cpu': '20GiB'}, in bytes or as text.
MaxMemory = Mapping[int | str, int | str]


@dataclass(frozen=True)
class LoadPlan:
    """All of it goes onto `device`, or is spread where `max_memory` says. `dtype` is that of activations and of what is
    not quantised; `kernel` a name of kernels.rules, or 'auto'; `attn_implementation` is transformers'.
    """

    summary: FolderSummary
    device: torch.device
    dtype: torch.dtype
    kernel: str = 'auto'
    max_memory: MaxMemory | None = None
    attn_implementation: str | None = None
    trust_remote_code: bool = False

    @property
    def checkpoint(self) -> Checkpoint:
        return self.summary.checkpoint

    @property
    def specs(self) -> dict[str, LinearSpec]:
        """The quantised linears, by their names in the file."""
        return self.summary.quantization.specs


def make_plan(
    summary: FolderSummary,
    device: str | int | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    kernel: str = 'auto',
    max_memory: MaxMemory | None = None,
    attn_implementation: str | None = None,
    trust_remote_code: bool = False,
    step: Callable[[str], object] = lambda name: None,
) -> LoadPlan:
    """The plan with defaults filled in: CUDA where there is a GPU, and the dtype of default_dtype().

    `dtype` may be a name, as 'bfloat16', or 'auto' for the default. `step(name)` is called where the CPU kernel is compiled.
    Raises GPTQError for a device or dtype that there is not, or a kernel that cannot run this model.
    """
    place, kernel = resolve_device(device), resolve_kernel_name(kernel)
    if not isinstance(max_memory, Mapping | None):
        raise GPTQError(f"max_memory is {max_memory!r}; write it as {{0: '10GiB', 'cpu': '20GiB'}}.")
    for number in max_memory or ():
        if isinstance(number, int):
            resolve_device(number)
    if dtype == 'auto':  # transformers' word for what config.json says
        dtype = None
    if dtype is not None:
        dtype = _floating(dtype)
    if place.type == 'cpu' and will_compile():
        step('compiling the CPU kernel, which is done once')
    if dtype is None:
        first = next(iter(summary.quantization.specs.values()))
        rule = select_kernel(kernel, first, place).rule
        dtype = _floating(default_dtype(rule, target_of(str(place)), config_dtype(summary.hf_config or {})))
    return LoadPlan(summary, place, dtype, kernel, max_memory, attn_implementation, trust_remote_code)


def with_wider_dtype(plan: LoadPlan) -> LoadPlan | None:
    """The plan in a dtype of a wider range than float16: bfloat16 where the GPU has it, else float32. None for another dtype."""
    if plan.dtype is not torch.float16:
        return None
    has_bfloat16 = plan.device.type != 'cuda' or torch.cuda.get_device_capability(plan.device) >= (8, 0)
    return replace(plan, dtype=torch.bfloat16 if has_bfloat16 else torch.float32)


def _floating(named: torch.dtype | str) -> torch.dtype:
    dtype = getattr(torch, named, None) if isinstance(named, str) else named
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise GPTQError(f'There is no floating-point dtype {named}; use bfloat16, float16 or float32.')
    return dtype


def resolve_device(device: str | int | torch.device | None) -> torch.device:
    """The device that is meant; CUDA where there is a GPU and none is named. Raises GPTQError for one that is not there."""
    if device is None:
        device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
        idle = idle_gpu() if device == 'cpu' else None
        if idle:
            log.warning(idle)
    if isinstance(device, int):
        device = f'cuda:{device}'
    try:
        place = torch.device(device)
        if place.type == 'meta':
            raise RuntimeError('a device without numbers')
    except (RuntimeError, TypeError) as e:
        raise GPTQError(f"There is no device {device}; use 'cpu', or 'cuda:0' for the first GPU.") from e
    if place.type == 'cuda' and not (torch.cuda.is_available() and (place.index or 0) < torch.cuda.device_count()):
        raise GPTQError(
            f"There is no {place} on this machine; use device='cpu', or install a PyTorch that sees your GPU."
        )
    _check_built_for(place)
    return place


def _check_built_for(place: torch.device) -> None:
    """Raises GPTQError for a GPU that this PyTorch has no kernels for, at which the first of them would fail."""
    problem = device_problem(str(place))
    if problem is not None:
        raise GPTQError(problem)
