"""Which kernel `auto` would take, without importing torch. A test holds it to what the kernels themselves say.

AutoGPTQ's kernels are left out: `auto` takes them only where their CUDA extension was compiled, and they keep the file's
tensors as the reference does.
"""

from __future__ import annotations

from .linear_spec import LinearSpec

INT4_GROUP_SIZES = (32, 64, 128, 256)
# In and out features must be multiples of these.
_INT4_MULTIPLES = {'cpu': (1, 16), 'cuda': (128, 8)}


def likely_kernel(spec: LinearSpec, device_type: str) -> str:
    """'torch-int4' or 'reference'; for CUDA, of a GPU from sm80."""
    rows, columns = _INT4_MULTIPLES.get(device_type, (0, 0))
    fits = (
        rows
        and spec.bits in (2, 3, 4, 8)
        and not spec.uneven
        and spec.in_features % spec.group_size == 0
        and int4_group_size(spec.group_size) is not None
        and spec.in_features % rows == 0
        and spec.out_features % columns == 0
    )
    return 'torch-int4' if fits else 'reference'


def int4_group_size(group_size: int) -> int | None:
    """The size of the groups that torch-int4 makes of a file's; None where it can make none."""
    return next((size for size in reversed(INT4_GROUP_SIZES) if group_size % size == 0), None)


def compute_dtype(kernel: str, device_type: str) -> tuple[str, int]:
    """The dtype in which a model runs with a kernel, where the user names none, and the bytes of one number."""
    if kernel == 'torch-int4':
        return 'bfloat16', 2
    return ('float32', 4) if device_type == 'cpu' else ('float16', 2)
