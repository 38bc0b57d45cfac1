"""Which kernel `auto` would take, without importing torch. A test holds it to what the kernels themselves say.

AutoGPTQ's kernels are left out: `auto` takes them only where their CUDA extension was compiled, and they keep the file's
tensors as the reference does.
"""

from __future__ import annotations

import importlib.util

from ..checkpoint.linear_spec import LinearSpec
from .cpu import compile as build

# What a user can ask for.
KERNEL_NAMES = ('auto', 'native-cpu', 'triton', 'torch-int4', 'auto-gptq', 'reference')
INT4_GROUP_SIZES = (32, 64, 128, 256)
_NATIVE_BLOCKS = (128, 64, 32, 16, 8)
# In and out features must be multiples of these.
_INT4_MULTIPLES = {'cpu': (1, 16), 'cuda': (128, 8)}


def likely_kernel(spec: LinearSpec, device_type: str) -> str:
    """The kernel's name; for CUDA, of a GPU from sm80."""
    if device_type == 'cuda' and spec.bits in (2, 3, 4, 8) and triton_words(spec) and has_triton():
        return 'triton'
    if device_type == 'cpu' and spec.bits in (2, 3, 4, 8) and native_block(spec) and build.why_not() is None:
        return 'native-cpu'
    rows, columns = _INT4_MULTIPLES.get(device_type, (0, 0))
    fits = (
        rows
        and spec.bits in (2, 3, 4, 8)
        and not spec.irregular_groups
        and spec.in_features % spec.group_size == 0
        and int4_group_size(spec.group_size) is not None
        and spec.in_features % rows == 0
        and spec.out_features % columns == 0
    )
    return 'torch-int4' if fits else 'reference'


def has_triton() -> bool:
    """Whether Triton is installed; it is not imported."""
    return importlib.util.find_spec('triton') is not None


def stored_bits(bits: int) -> int:
    """The bits that a code takes in the layout of Triton's kernels."""
    return 4 if bits == 3 else bits


def triton_words(spec: LinearSpec) -> int | None:
    """How many words a column has there: a word's codes are all of one group. None where it cannot run."""
    per_word = 32 // stored_bits(spec.bits)
    fits = not (spec.irregular_groups or spec.group_size % per_word or spec.in_features % per_word)
    return spec.in_features // per_word if fits else None


def int4_group_size(group_size: int) -> int | None:
    """The size of the groups that torch-int4 makes of a file's; None where it can make none."""
    return next((size for size in reversed(INT4_GROUP_SIZES) if group_size % size == 0), None)


def native_block(spec: LinearSpec) -> int | None:
    """The rows to which native-cpu gives one scale of the activations: all of one group. None where it cannot run."""
    if spec.irregular_groups or spec.in_features * spec.bits % 32 or spec.out_features * spec.bits % 32:
        return None
    return next((n for n in _NATIVE_BLOCKS if spec.group_size % n == 0 and spec.in_features % n == 0), None)


def compute_dtype(kernel: str, device_type: str) -> tuple[str, int]:
    """The dtype in which a model runs with a kernel, where the user names none, and the bytes of one number."""
    if kernel == 'torch-int4' or (kernel == 'native-cpu' and device_type == 'cpu'):
        return 'bfloat16', 2
    return ('float32', 4) if device_type == 'cpu' else ('float16', 2)
