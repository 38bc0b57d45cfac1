"""A tensor as a file's header describes it."""

from __future__ import annotations

from dataclasses import dataclass

ITEM_BYTES = {
    **{'F64': 8, 'I64': 8, 'U64': 8, 'F32': 4, 'I32': 4, 'U32': 4, 'F16': 2, 'BF16': 2, 'I16': 2, 'U16': 2},
    **{'I8': 1, 'U8': 1, 'BOOL': 1, 'F8_E4M3': 1, 'F8_E5M2': 1},
}


@dataclass(frozen=True)
class TensorInfo:
    """One entry of the header. `begin` and `end` count bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def tensor_bytes(info: TensorInfo) -> int:
    """The bytes a tensor's shape and dtype ask for; 1 byte an item for dtypes not listed."""
    count = ITEM_BYTES.get(info.dtype, 1)
    for n in info.shape:
        count *= n
    return count
