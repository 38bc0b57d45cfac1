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


class NotFiniteError(GPTQError):
    """In the dtype of the plan there is NaN or infinity where the file has none: the model needs a dtype of a wider range."""


def cast_floats(value: torch.Tensor, dtype: torch.dtype, name: str, file: str) -> torch.Tensor:
    """`value` in `dtype`. Raises GPTQError where it is not finite, NotFiniteError where `dtype` cannot hold it: fp16 ends at
    65504, and a model that was trained in bf16 may have weights beyond.
    """
    cast = value.to(dtype) if value.is_floating_point() else value
    try:
        check_finite(cast, name, file)
    except GPTQError:
        check_finite(value, name, file)  # raises where the file itself is damaged
        raise NotFiniteError(
            f'{file} holds {name} with numbers beyond the range of {dtype_name(dtype)}; load it with another dtype, '
            f'{wider_dtypes(dtype)}.'
        ) from None
    return cast


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def wider_dtypes(dtype: torch.dtype) -> str:
    """The dtypes that a user may choose in place of one that overflows."""
    return 'float32' if dtype is torch.bfloat16 else 'bfloat16 or float32'
