"""Whether the values of a tensor can be what its name says. Checked while loading: one pass over each, and cheap."""

from __future__ import annotations

import torch

from ..errors import GPTQError


def check_finite(value: torch.Tensor, name: str, file: str) -> None:
    """Raises GPTQError where a tensor is not of floating point, or holds NaN or infinity: each answer would be gibberish."""
    if not value.is_floating_point():
        kind = str(value.dtype).removeprefix('torch.')
        raise GPTQError(f'{file} holds {name} as {kind} where floating point is expected; download it again.')
    # Minimum and maximum carry a NaN on, and need no mask as large as the tensor.
    if value.numel() and not all(bound.isfinite() for bound in value.aminmax()):
        raise GPTQError(f'{file} holds {name} with NaN or infinity in it; the file is damaged, so download it again.')


def check_scales(scales: torch.Tensor, name: str, file: str) -> None:
    """Raises GPTQError for scales that no quantiser writes. All zero is what a preallocated, unfinished download has."""
    check_finite(scales, name, file)
    if not scales.any():
        raise GPTQError(
            f'{file} holds {name} with nothing but zeros in it: the download was interrupted; download it again.'
        )
