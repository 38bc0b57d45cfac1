"""Reads what a safetensors file holds without loading it. Standard library alone.

Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, JSON header, tensor bytes).
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..errors import GPTQError
from ..util.formatting import format_bytes
from .tensor_info import ITEM_BYTES, TensorInfo, tensor_bytes

_LARGEST_HEADER = 100_000_000  # the limit of the safetensors library itself


@dataclass(frozen=True)
class Header:
    """The tensors of one file, by name, and the file's size in bytes."""

    path: Path
    tensors: dict[str, TensorInfo]
    size: int

    def read_ints(self, name: str, most: int | None = None) -> array:
        """The values of an I32 tensor, flat; only the first `most` where that is given."""
        return read_int32(self, name, most)


def read_header(path: Path, whole: bool = True) -> Header:
    """The header of a safetensors file. Raises GPTQError for a truncated or broken one; `whole=False` lets pass a file
    whose header is sound but whose tensors are not all there.
    """
    try:
        size = path.stat().st_size
        with path.open('rb') as f:
            start = f.read(8)
            if start.startswith(b'version '):
                raise GPTQError(f'{path} is a Git LFS pointer, not the model itself; download the file again.')
            length = struct.unpack('<Q', start)[0] if len(start) == 8 else _LARGEST_HEADER + 1
            if length > _LARGEST_HEADER:
                raise GPTQError(f'{path} is not a safetensors file; download it again.')
            raw = f.read(length)
    except OSError as e:
        raise GPTQError(f'{path} cannot be read ({e.strerror}); check the file and its permissions.') from e
    if len(raw) < length:
        raise GPTQError(f'{path} ends inside its header: the download was interrupted; download it again.')
    try:
        entries = json.loads(raw, object_pairs_hook=_no_duplicates)
        tensors = {k: _tensor_info(v, 8 + length) for k, v in entries.items() if k != '__metadata__'}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise GPTQError(f'{path} has a broken safetensors header; download it again.') from e
    _refuse_overlaps(path, tensors)
    needed = max((t.end for t in tensors.values()), default=0)
    if whole and needed > size:
        raise GPTQError(
            f'{path} is {format_bytes(size)} of {format_bytes(needed)}: the download was interrupted; download it again.'
        )
    return Header(path, tensors, size)


def _no_duplicates(pairs: list[tuple]) -> dict:
    """A JSON object. Raises ValueError where it has a key twice, of which json would silently keep the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError('a key stands there twice')
    return found


def _refuse_overlaps(path: Path, tensors: dict[str, TensorInfo]) -> None:
    """Raises GPTQError where two tensors claim the same bytes."""
    in_order = sorted((t.begin, t.end, name) for name, t in tensors.items() if t.end > t.begin)
    for (_, end, name), (begin, _, other) in pairwise(in_order):
        if begin < end:
            raise GPTQError(
                f'{path} has {name} and {other} in the same bytes: its header is broken; download it again.'
            )


def _tensor_info(entry: dict, start: int) -> TensorInfo:
    """One entry, its offsets counted from the start of the file. Raises ValueError and its like where it is not sound."""
    begin, end = entry['data_offsets']
    if type(begin) is not int or type(end) is not int or end >= 2**63:
        raise ValueError(entry)
    info = TensorInfo(entry['dtype'], tuple(entry['shape']), start + begin, start + end)
    bad_shape = not all(isinstance(n, int) and n >= 0 for n in info.shape)
    if not isinstance(info.dtype, str) or bad_shape or not 0 <= begin <= end:
        raise ValueError(entry)
    if info.dtype in ITEM_BYTES and tensor_bytes(info) != end - begin:
        raise ValueError(entry)
    return info


def read_int32(header: Header, name: str, most: int | None = None) -> array:
    """The values of an I32 tensor, flat, without numpy or torch; only the first `most` where that is given."""
    info = header.tensors[name]
    values = array('i')
    size = info.end - info.begin
    with header.path.open('rb') as f:
        f.seek(info.begin)
        values.frombytes(f.read(size if most is None else min(size, 4 * most)))
    if sys.byteorder == 'big':
        values.byteswap()
    return values
