"""Tensors that a checkpoint names but that were never filled, and buffers that it lacks.

A download preallocates its file, and what did not arrive is zeros: the header is whole, so are the sizes, and the model
answers gibberish. Zeros that a model may honestly have are told apart here: norms that multiply by one plus their weight,
linears that a merge switched off by making them zero, rows of a vocabulary that no text uses.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn

from ..errors import GPTQError

_WORDS = 1 << 14  # 4-byte words from one look to the next, at most: 64 KB
_LOOKS = 256  # at least, in a tensor that is large enough
_MIN_PART = 64  # bytes of zeros in a row that is otherwise filled, which no training leaves at the end or front of one
# Parts of a quantised linear. Their zeros are not: codes are of 0 to 2**bits - 1 with the zero point between them, and the
# stored zero point of a symmetric v1 file is 2**(bits-1) - 1, of a v2 file 2**(bits-1).
_QUANTISED = ('qweight', 'qzeros', 'scales')


def check_filled(value: torch.Tensor, name: str, file: str, is_honest: Callable[[], bool] = lambda: False) -> None:
    """Raises GPTQError where a tensor, on the CPU as it was read, was never filled, or not to its end.

    All zeros are no weight unless `is_honest()`, which is asked then. Zeros over several rows that begin or end within a row
    are a gap; whole rows of zeros may be those of tokens that nothing uses. Looks at one number in 64 KB, or at 256
    of them, and closer only where some are zero.
    """
    if not (name.endswith('.weight') or name.rpartition('.')[2] in _QUANTISED or value.dim() == 3):
        return
    if value.numel() < 2 or not value.is_contiguous():
        return
    begin, end, size = zero_run(value)
    if end - begin == size:
        if not is_honest():
            raise GPTQError(
                f'{file} holds {name} with nothing but zeros in it: the download was interrupted; download it again.'
            )
    elif value.dim() >= 2 and _is_gap(value, begin, end):
        raise GPTQError(
            f'{file} holds {name} with {end - begin} bytes of zeros in its midst: the download was interrupted; '
            'download it again.'
        )


def _is_gap(value: torch.Tensor, begin: int, end: int) -> bool:
    """Whether zero bytes from `begin` to `end` of a tensor cover two rows and a part of another."""
    raw = _bytes(value)
    row = len(raw) // (value.numel() // value.shape[-1])
    if end - begin < 2 * row:
        return False
    # A row that is partly zero is cut where the row before it, or after it, has numbers in the same columns.
    front, back = -begin % row, end % row
    above, below = begin - row, end - back + row
    cuts_first = front >= _MIN_PART and above >= 0 and bool(raw[above : above + front].any())
    return cuts_first or (back >= _MIN_PART and bool(raw[below : below + back].any()))


def zero_run(value: torch.Tensor) -> tuple[int, int, int]:
    """(begin, end, size) in bytes: where the longest run of zero bytes of a contiguous tensor lies, and the tensor's size.
    (0, 0, size) where none is longer than two looks, unless all of it is zero.
    """
    raw = _bytes(value)
    size = len(raw)
    # Odd, as rows are powers of two: the same columns only would be seen.
    step = min(_WORDS, size // 4 // _LOOKS) | 1
    looked = raw[: size // 4 * 4].view(torch.int32)[::step] if size >= 4 else raw
    if looked.all():
        return 0, 0, size
    filled = looked.nonzero().reshape(-1)
    # Between two looks that saw a number, or before the first and after the last, all looks saw zeros.
    edges = torch.cat([filled.new_tensor([-1]), filled, filled.new_tensor([len(looked)])])
    gaps = edges.diff()
    longest = int(gaps.argmax())
    before, after = int(edges[longest]), int(edges[longest + 1])
    if after - before < 4 and len(filled):
        return 0, 0, size
    # The run goes from behind the last byte that is not zero to the next one.
    inside = (before + after) // 2 * step * 4 if len(filled) else 0
    low, high = max(before, 0) * step * 4, min(after * step * 4 + 4, size)
    left, right = raw[low:inside].nonzero(), raw[inside:high].nonzero()
    begin = low + int(left[-1]) + 1 if len(left) else low
    end = inside + int(right[0]) if len(right) else high
    return begin, end, size


def _bytes(value: torch.Tensor) -> torch.Tensor:
    return value.reshape(-1).view(torch.uint8)


def is_offset_norm(module: nn.Module | None) -> bool:
    """Whether a module with a weight in one dimension answers something else than zeros where that is all zero, as Gemma's
    norms, which multiply by one plus their weight. A module that cannot be tried is not accused.
    """
    weight = None if module is None else module._parameters.get('weight')
    if module is None or weight is None or weight.dim() != 1:
        return False
    small: Any = copy.copy(module)
    small.__dict__ = dict(module.__dict__)
    small._parameters = {
        name: None if p is None else nn.Parameter(torch.zeros(p.shape), requires_grad=False)
        for name, p in module._parameters.items()
    }
    x = torch.randn(2, len(weight), generator=torch.Generator().manual_seed(0))
    forward: Any = type(module).forward
    for inputs in ((x,), (x, x)):  # the second for a norm with a gate
        with contextlib.suppress(Exception), torch.no_grad():
            return bool(forward(small, *inputs).any())
    return True


def is_zero_linear(qzeros: torch.Tensor, scales: torch.Tensor) -> bool:
    """Whether a quantised linear whose codes are all zero can be one of zeros, as layers that a merge switched off are: its zero
    points are the code zero, which v1 stores as all ones and v2 as zeros, and its scales, of no weights, are all one.
    """
    return bool((qzeros == -1).all()) or bool((qzeros == 0).all() and (scales == scales.reshape(-1)[0]).all())


def missing_buffers(model: nn.Module, given: Collection[str]) -> list[str]:
    """Names of the buffers that belong to a checkpoint, are not `given` in it, and have one value all through: learned ones, as
    the bias of a router, as they are before they are loaded. A table that the model computes has many values.
    """
    ignored = [re.compile(pattern) for pattern in getattr(model, '_keys_to_ignore_on_load_missing', None) or ()]
    missing = []
    for prefix, module in model.named_modules():
        for leaf, buffer in module._buffers.items():
            name = f'{prefix}.{leaf}'.lstrip('.')
            if buffer is None or leaf in module._non_persistent_buffers_set or name in given:
                continue
            is_learned = buffer.dim() and buffer.numel() and bool((buffer == buffer.reshape(-1)[0]).all())
            if is_learned and not any(pattern.search(name) for pattern in ignored):
                missing.append(name)
    return missing
