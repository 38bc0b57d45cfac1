"""Whether tensors can be what they are called, beyond their shapes. Checked while loading: cheap, one pass each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .errors import GPTQError
from .safetensors_header import TensorInfo

if TYPE_CHECKING:
    import torch

_PARTS = ('qweight', 'qzeros', 'scales', 'g_idx')


def require_finite(value: torch.Tensor, name: str, file: str) -> None:
    """Raises GPTQError where a floating tensor is none, or holds NaN or infinity: every answer would be gibberish."""
    if not value.is_floating_point():
        kind = str(value.dtype).removeprefix('torch.')
        raise GPTQError(f'{file} holds {name} as {kind} where floating point is expected; download it again.')
    # Minimum and maximum carry a NaN on, and need no mask as large as the tensor.
    if value.numel() and not all(bound.isfinite() for bound in value.aminmax()):
        raise GPTQError(f'{file} holds {name} with NaN or infinity in it; the file is damaged, so download it again.')


def require_scales(scales: torch.Tensor, name: str, file: str) -> None:
    """Raises GPTQError for scales that no quantiser writes. All zero is what a preallocated, unfinished download has."""
    require_finite(scales, name, file)
    if not scales.any():
        raise GPTQError(
            f'{file} holds {name} with nothing but zeros in it: the download was interrupted; download it again.'
        )


def refuse_strays(tensors: Mapping[str, TensorInfo], file: str) -> None:
    """Raises GPTQError where parts of a quantised linear have no `qweight` beside them. Other tensors too many are
    harmless, and are only logged when they are left out.
    """
    for name in tensors:
        module, _, part = name.rpartition('.')
        if part in _PARTS and f'{module}.qweight' not in tensors:
            raise GPTQError(f'{file} lacks the tensor {module}.qweight, though it holds {name}; download it again.')


def require_g_idx(tensors: Mapping[str, TensorInfo], module: str, file: str) -> None:
    """Raises GPTQError where a linear of an act-order file has no g_idx: quantisers write all or none."""
    if f'{module}.g_idx' not in tensors:
        raise GPTQError(f'{file} lacks the tensor {module}.g_idx, and has act-order; download it again.')
