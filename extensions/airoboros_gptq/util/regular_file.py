"""Reads the files of a model folder: regular ones alone, and no more of them than is needed. Standard library alone.

To open a FIFO waits for a writer, a device gives bytes without end, and a sparse file of a terabyte is quickly made.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import GPTQError, first_line
from .formatting import format_bytes

MAX_JSON = 64_000_000  # bytes; an index of 200,000 tensors has 25 MB
MAX_NODES = 3_000_000  # values in a JSON file, by its commas and brackets
MAX_DEPTH = 50
MAX_VOCABULARY = 512_000_000  # bytes of any other file that is not weights; tokenizer.json has up to 40 MB

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, 'a folder'),
    (stat.S_ISFIFO, 'a FIFO'),
    (stat.S_ISSOCK, 'a socket'),
    (stat.S_ISCHR, 'a device'),
    (stat.S_ISBLK, 'a device'),
)


def is_present(path: Path) -> bool:
    """Whether there is a regular file at `path`; False where there is nothing. Raises GPTQError where anything else is in
    its place, or a link that leads nowhere: to read around that would be to load another model than the folder's.
    """
    try:
        mode = path.stat().st_mode
    except OSError as e:
        if os.path.islink(path):
            raise GPTQError(f'{path} is a symbolic link that leads to no file; download it again.') from e
        if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return False
        raise _unreadable(path, e) from e
    if not stat.S_ISREG(mode):
        raise _not_a_file(path, mode)
    return True


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading in binary. Never waits. Raises GPTQError, naming the file."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # not opened: that alone does something to some devices
            raise _not_a_file(path, mode)
        # Should it be swapped for a FIFO now, opening does not wait.
        handle = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0))
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            os.close(handle)
            raise _not_a_file(path, mode)
        return open(handle, 'rb')
    except OSError as e:
        raise _unreadable(path, e) from e


def read_bytes(path: Path, max_size: int) -> bytes:
    """The whole file. Raises GPTQError where it is unreadable, no regular file, or larger than `max_size` bytes."""
    with open_regular(path) as file:
        try:
            check_size(path, os.fstat(file.fileno()).st_size, max_size)
            return file.read(max_size)
        except OSError as e:
            raise _unreadable(path, e) from e


def check_size(path: Path, size: int, max_size: int) -> None:
    """Raises GPTQError for a file of more bytes than any model has in such a one."""
    if size > max_size:
        raise GPTQError(
            f'{path} has {format_bytes(size)}, more than the {format_bytes(max_size)} that such a file may have; '
            'download it again.'
        )


def parse_json(raw: bytes, **options: Any) -> Any:
    """json.loads, in bounded time and memory. Raises ValueError where it is no JSON, too deep, or of too many values."""
    if count_nodes(raw) > MAX_NODES:
        raise ValueError(f'more than {MAX_NODES:,} values')
    try:
        value = json.loads(raw.decode('utf-8-sig'), **options)  # Windows editors put a byte order mark in front
    except RecursionError:
        raise ValueError('nested too deeply') from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [v for holder in level for v in _members(holder)]
        if not level:
            return value
    raise ValueError('nested too deeply')  # what walks it, repr() for one, would hit Python's limit


def count_nodes(raw: bytes) -> int:
    """At least as many as there are values in JSON."""
    return raw.count(b',') + raw.count(b'[') + raw.count(b'{')


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises GPTQError where the file is unreadable, too large, broken or not an object."""
    raw = read_bytes(path, MAX_JSON)
    try:
        value = parse_json(raw)
    except UnicodeDecodeError as e:
        raise GPTQError(f'{path} cannot be read ({first_line(e)}); check the file or download it again.') from e
    except ValueError as e:  # a number of thousands of digits is one too
        raise GPTQError(f'{path} is not valid JSON ({first_line(e)}); download it again.') from e
    if not isinstance(value, dict):
        raise GPTQError(f'{path} holds a {type(value).__name__} where an object is expected; download it again.')
    return value


def _members(value: Any) -> list[Any]:
    """The objects and arrays within an object or array."""
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [v for v in values if isinstance(v, (dict, list))]


def _not_a_file(path: Path, mode: int) -> GPTQError:
    kind = next((name for test, name in _KINDS if test(mode)), 'no regular file')
    return GPTQError(f'{path} is {kind} where a file is expected; remove it, or download it again.')


def _unreadable(path: Path, error: Exception) -> GPTQError:
    reason = getattr(error, 'strerror', None) or first_line(error)
    return GPTQError(f'{path} cannot be read ({reason}); check the file and its permissions.')
