"""Reads tensors out of a safetensors file by plain reads, one module ahead of the one that is being made.

A mapped file would count as memory of this process until it is closed, all of it, and each of its pages costs a fault. What
is read here goes into buffers that are used again as soon as nobody holds their last tensor.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from ..checkpoint.checkpoint import Checkpoint
from ..checkpoint.safetensors_header import Header
from ..checkpoint.tensor_info import TensorInfo
from ..checkpoint.torch_pickle import PickledWeights
from ..errors import GPTQError

DTYPES = {
    **{'F64': torch.float64, 'F32': torch.float32, 'F16': torch.float16, 'BF16': torch.bfloat16},
    **{
        'I64': torch.int64,
        'I32': torch.int32,
        'I16': torch.int16,
        'I8': torch.int8,
        'U8': torch.uint8,
        'BOOL': torch.bool,
    },
}
_KEPT = 1 << 26  # bytes; larger buffers, as an embedding's, are not kept
_LIST = [object()]
_FREE = sys.getrefcount(_LIST[0])  # what is counted of an object that only a list holds


class Buffers:
    """Memory to read into. A tensor that is made of a buffer holds a reference to it, by which we see that it is in use."""

    def __init__(self):
        self._kept: dict[int, list[mmap.mmap]] = {}

    def of(self, size: int) -> mmap.mmap:
        """`size` bytes that nobody uses."""
        same = self._kept.setdefault(size, [])
        for i in range(len(same)):
            if sys.getrefcount(same[i]) == _FREE:
                return same[i]
        made = mmap.mmap(-1, size)
        with contextlib.suppress(AttributeError, OSError, ValueError):  # advice, which not every system takes
            made.madvise(mmap.MADV_HUGEPAGE)  # packing reads down the rows: with small pages each row is a miss
        if size <= _KEPT:
            same.append(made)
        return made


class TensorFile:
    """The tensors of one file, by name; `other(name)` reads those of types that are not in DTYPES."""

    def __init__(self, path: Path, tensors: dict[str, TensorInfo], other: Callable[[str], torch.Tensor]):
        self._file = open(path, 'rb', buffering=0)  # noqa: SIM115 - open as long as this lives
        self._tensors, self._other, self._buffers = tensors, other, Buffers()
        self._lock = threading.Lock()

    def __call__(self, name: str) -> torch.Tensor:
        """The tensor, on the CPU. Raises OSError."""
        info = self._tensors[name]
        size = info.end - info.begin
        if info.dtype not in DTYPES or not size or sys.byteorder == 'big':
            return self._other(name)
        with self._lock:
            buffer = self._buffers.of(size)
            rest = memoryview(buffer)
            self._file.seek(info.begin)
            while rest:
                count = self._file.readinto(rest)
                if not count:
                    raise OSError('the file has become shorter')
                rest = rest[count:]
            return torch.frombuffer(buffer, dtype=DTYPES[info.dtype]).view(info.shape)


def open_tensors(checkpoint: Checkpoint) -> Callable[[str], torch.Tensor]:
    """read(name) -> torch.Tensor, on the CPU; the files stay open as long as it lives. Raises GPTQError."""
    readers = {name: read for file in checkpoint.headers for read in [_open(file)] for name in file.tensors}
    return lambda name: readers[name](name)


def _open(file: Header | PickledWeights) -> Callable[[str], torch.Tensor]:
    if isinstance(file, PickledWeights):
        # A copy, so that the file is not needed once the model is loaded.
        return lambda name: file.mapped[name].clone(memory_format=torch.contiguous_format)
    from safetensors import SafetensorError, safe_open

    try:
        checked = safe_open(file.path, framework='pt', device='cpu')
        return TensorFile(file.path, file.tensors, checked.get_tensor)
    except OSError as e:
        raise GPTQError(f'{file.path} cannot be read ({e}); check the file and its permissions.') from e
    except SafetensorError as e:
        raise GPTQError(f'{file.path} is not a whole safetensors file ({e}); download it again.') from e


class Ahead:
    """Reads what will be asked for next while the caller works on what it has."""

    def __init__(self, read: Callable[[str], torch.Tensor], groups: Iterable[list[str]]):
        """`groups` are the names in the order in which they will be asked for; one group is read ahead."""
        self._read, self._groups = read, iter(groups)
        self._pool = ThreadPoolExecutor(1, 'reading')
        self._now: dict[str, Future] = {}
        self._next: dict[str, Future] = {}
        self.go_on()

    def go_on(self) -> None:
        """To be called before each group is asked for: begins to read the one after it."""
        self._now, self._next = self._next, {n: self._pool.submit(self._read, n) for n in next(self._groups, ())}

    def __call__(self, name: str) -> torch.Tensor:
        """Raises what reading raises."""
        ready = self._now.pop(name, None)
        return self._read(name) if ready is None else ready.result()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *error) -> None:
        self._pool.shutdown(cancel_futures=True)
