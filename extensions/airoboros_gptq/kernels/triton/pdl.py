"""Programmatic dependent launch (PDL): on GPUs from sm90 a kernel starts before the one before it has ended, so that what it can
read beforehand, as weights, is on its way. Triton's launch option is `launch_pdl`.

Each kernel lets the next one start at once. So before grid_dependency_wait() it may read nothing that a kernel of the step
writes, and may write nothing at all; after it, all that came before is visible, since a kernel ends only when its own wait has.

Source: CUDA C++ Programming Guide, "Programmatic Dependent Launch and Synchronization"; PTX ISA, `griddepcontrol`.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl


@triton.jit
def launch_dependents(USE_PDL: tl.constexpr):
    """Lets the next kernel start."""
    if USE_PDL:
        tl.inline_asm_elementwise(
            'griddepcontrol.launch_dependents; mov.b32 $0, 0;', '=r', [], dtype=tl.int32, is_pure=False, pack=1
        )


@triton.jit
def grid_dependency_wait(USE_PDL: tl.constexpr):
    """Waits until the kernels before have ended and what they wrote is visible."""
    if USE_PDL:
        tl.inline_asm_elementwise(
            'griddepcontrol.wait; mov.b32 $0, 0;', '=r', [], dtype=tl.int32, is_pure=False, pack=1
        )


def launch_options(device: torch.device) -> dict[str, Any]:
    """Options of each launch on `device`: USE_PDL, and Triton's `launch_pdl` where it is true."""
    if device.type != 'cuda' or torch.version.hip or torch.cuda.get_device_capability(device) < (9, 0):
        return {'USE_PDL': False}
    from triton.backends.nvidia.compiler import CUDAOptions

    if 'launch_pdl' not in CUDAOptions.__dataclass_fields__:  # Triton before 3.4
        return {'USE_PDL': False}
    return {'USE_PDL': True, 'launch_pdl': True}
