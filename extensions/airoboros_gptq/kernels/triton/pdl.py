"""Kernels that start before the one before them has ended, on GPUs from sm90: what they can read beforehand, as weights, is
then on the way. CUDA calls it programmatic dependent launch; Triton's launch option is `launch_pdl`.

Each kernel lets the next one start at once. So before await_inputs() nothing may be read that a kernel of the step writes, and
nothing written at all; what comes after it sees all that came before, since a kernel ends only when its own wait has.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def start_next(EARLY: tl.constexpr):
    """Lets the kernel that follows start."""
    if EARLY:
        tl.inline_asm_elementwise(
            'griddepcontrol.launch_dependents; mov.b32 $0, 0;', '=r', [], dtype=tl.int32, is_pure=False, pack=1
        )


@triton.jit
def await_inputs(EARLY: tl.constexpr):
    """Waits until the kernels before have ended and what they wrote is there."""
    if EARLY:
        tl.inline_asm_elementwise(
            'griddepcontrol.wait; mov.b32 $0, 0;', '=r', [], dtype=tl.int32, is_pure=False, pack=1
        )


def settings(device: torch.device) -> dict:
    """Of each launch: whether it starts early."""
    if device.type != 'cuda' or torch.version.hip or torch.cuda.get_device_capability(device) < (9, 0):
        return {'EARLY': False}
    from triton.backends.nvidia.compiler import CUDAOptions

    if 'launch_pdl' not in CUDAOptions.__dataclass_fields__:  # Triton before 3.4
        return {'EARLY': False}
    return {'EARLY': True, 'launch_pdl': True}
