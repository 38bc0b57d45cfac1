"""Reads what a safetensors file holds without loading it. Standard library alone.

Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, JSON header, tensor bytes).
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import GPTQError
from ..util.formatting import format_bytes
from ..util.regular_file import open_regular, parse_json
from .tensor_info import ITEM_BYTES, TensorInfo, tensor_bytes

_MAX_HEADER = 100_000_000  # the limit of the safetensors library itself


@dataclass(frozen=True)
class Header:
    """The tensors of one file, by name, and the file's size in bytes."""

    path: Path
    tensors: dict[str, TensorInfo]
    size: int

    def read_ints(self, name: str, limit: int | None = None) -> array[int]:
        """The values of an I32 tensor, flat; at most the first `limit` of them."""
        return read_int32(self, name, limit)


def read_header(path: Path, whole: bool = True) -> Header:
    """The header of a safetensors file. Raises GPTQError for a file that the safetensors library would refuse;
    `whole=False` lets pass one whose header is sound but whose tensors are not all there.
    """
    try:
        with open_regular(path) as f:
            size = os.fstat(f.fileno()).st_size
            start = f.read(8)
            if start.startswith(b'version '):
                raise GPTQError(f'{path} is a Git LFS pointer, not the model itself; download the file again.')
            length = struct.unpack('<Q', start)[0] if len(start) == 8 else _MAX_HEADER + 1
            if length > _MAX_HEADER:
                raise GPTQError(f'{path} is not a safetensors file; download it again.')
            raw = f.read(length)
    except OSError as e:
        raise GPTQError(f'{path} cannot be read ({e.strerror}); check the file and its permissions.') from e
    if len(raw) < length:
        raise GPTQError(f'{path} ends inside its header: the download was interrupted; download it again.')
    try:
        entries = parse_json(raw, object_pairs_hook=_no_duplicates)
        tensors = {k: _tensor_info(v, 8 + length) for k, v in entries.items() if k != '__metadata__'}
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise GPTQError(f'{path} has a broken safetensors header; download it again.') from e
    _check_no_overlaps(path, tensors)
    if whole:
        _check_whole(path, tensors, 8 + length, size)
    return Header(path, tensors, size)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError where it has a key twice, of which json would silently keep the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError('a key stands there twice')
    return found


def _check_no_overlaps(path: Path, tensors: dict[str, TensorInfo]) -> None:
    in_order = sorted((t.begin, t.end, name) for name, t in tensors.items() if t.end > t.begin)
    for (_, end, name), (begin, _, other) in pairwise(in_order):
        if begin < end:
            raise GPTQError(
                f'{path} has {name} and {other} in the same bytes: its header is broken; download it again.'
            )


def _check_whole(path: Path, tensors: dict[str, TensorInfo], start: int, size: int) -> None:
    """The tensors fill the file from `start`, where the header ends, to its last byte, as the format asks."""
    needed = max((t.end for t in tensors.values()), default=start)
    if needed > size:
        raise GPTQError(
            f'{path} is {format_bytes(size)} of {format_bytes(needed)}: the download was interrupted; download it again.'
        )
    unused = size - start - sum(t.end - t.begin for t in tensors.values())
    if unused:
        raise GPTQError(
            f'{path} is not a whole safetensors file ({unused} of its bytes belong to no tensor); download it again.'
        )


def _tensor_info(entry: dict[str, Any], start: int) -> TensorInfo:
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


def read_int32(header: Header, name: str, limit: int | None = None) -> array[int]:
    """The values of an I32 tensor, flat, without numpy or torch; at most the first `limit` of them."""
    info = header.tensors[name]
    values: array[int] = array('i')
    size = info.end - info.begin
    with open_regular(header.path) as f:
        f.seek(info.begin)
        values.frombytes(f.read(size if limit is None else min(size, 4 * limit)))
    if sys.byteorder == 'big':
        values.byteswap()
    return values
