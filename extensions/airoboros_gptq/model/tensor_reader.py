"""Reads tensors from the files of a checkpoint by plain reads, one module ahead of the one that is being built.

A mapped file would count as memory of this process until it is closed, all of it, and each of its pages costs a fault.
What is read here goes into buffers of a pool, and a buffer goes back to the pool with the last tensor that lies in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import torch

from ..checkpoint.checkpoint import Checkpoint, WeightFile
from ..checkpoint.tensor_info import TensorInfo
from ..checkpoint.torch_pickle import PickledWeights
from ..errors import GPTQError

ReadTensor = Callable[[str], torch.Tensor]  # by its name in the file, onto the CPU

# safetensors' names of the dtypes that are read here; the library reads the rest.
DTYPES = {
    **{'F64': torch.float64, 'F32': torch.float32, 'F16': torch.float16, 'BF16': torch.bfloat16},
    **{'I64': torch.int64, 'I32': torch.int32, 'I16': torch.int16, 'I8': torch.int8},
    **{'U8': torch.uint8, 'BOOL': torch.bool},
}
MAX_POOLED = 1 << 26  # bytes; larger buffers, as an embedding's, are not kept


class BufferPool:
    """Memory to read tensors into, used again once it is released: to have new pages from the system costs more than to
    read the bytes that go into them. Safe to use from several threads, and from finalizers.
    """

    def __init__(self) -> None:
        self._free: dict[int, deque[mmap.mmap]] = {}  # by size; a deque's append and pop are atomic

    def acquire(self, size: int) -> mmap.mmap:
        """`size` bytes, at least 1, that are the caller's until they are released."""
        with contextlib.suppress(KeyError, IndexError):
            return self._free[size].pop()
        buffer = mmap.mmap(-1, size)
        with contextlib.suppress(AttributeError, OSError, ValueError):  # advice, which not every system takes
            buffer.madvise(mmap.MADV_HUGEPAGE)  # packing reads down the rows: with small pages each row is a miss
        return buffer

    def release(self, buffer: mmap.mmap) -> None:
        """Gives a buffer back. Nothing may refer to its bytes any more: the next acquire() hands them out."""
        if len(buffer) <= MAX_POOLED:
            self._free.setdefault(len(buffer), deque()).append(buffer)

    def tensor(self, info: TensorInfo, fill: Callable[[mmap.mmap], None]) -> torch.Tensor:
        """A tensor of a dtype in DTYPES over an acquired buffer, once `fill` has written it.

        Only the tensor itself can say when the buffer may be released: kernels repack most of what they are given, and
        keep the rest as it is. So the buffer goes back when the last tensor or view over it is gone.
        """
        buffer = self.acquire(info.end - info.begin)
        # torch holds on to the object that a tensor was made from, this array; the array holds on to the buffer.
        memory = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        weakref.finalize(memory, self.release, buffer).atexit = False
        fill(buffer)
        return torch.frombuffer(memory, dtype=DTYPES[info.dtype]).view(info.shape)


class SafetensorsReader:
    """read(name) for the tensors of one safetensors file, whose header is known."""

    def __init__(self, path: Path, tensors: Mapping[str, TensorInfo]) -> None:
        self._path, self._tensors, self._pool = path, tensors, BufferPool()
        self._file = open(path, 'rb', buffering=0)  # noqa: SIM115 - open as long as this lives
        self._lock = threading.Lock()

    def __call__(self, name: str) -> torch.Tensor:
        """Raises OSError where the file cannot be read, SafetensorError for a dtype that nobody knows."""
        info = self._tensors[name]
        if info.dtype not in DTYPES or sys.byteorder == 'big':
            return self._by_the_library(name)
        if info.end == info.begin:
            return torch.empty(info.shape, dtype=DTYPES[info.dtype])
        return self._pool.tensor(info, lambda buffer: self._read_at(info.begin, buffer))

    def _read_at(self, offset: int, buffer: mmap.mmap) -> None:
        with self._lock, memoryview(buffer) as view:
            self._file.seek(offset)
            done = 0
            while done < len(view):
                count = self._file.readinto(view[done:])
                if not count:
                    raise OSError('the file has become shorter')
                done += count

    def _by_the_library(self, name: str) -> torch.Tensor:
        from safetensors import safe_open

        with safe_open(self._path, framework='pt', device='cpu') as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor


def open_tensors(checkpoint: Checkpoint) -> ReadTensor:
    """read(name) for all tensors of a checkpoint; its files stay open as long as that lives. Raises GPTQError."""
    readers = {name: read for file in checkpoint.files for read in [open_file(file)] for name in file.tensors}
    return lambda name: readers[name](name)


def open_file(file: WeightFile) -> ReadTensor:
    """read(name) for the tensors of one file, open as long as that lives. Raises GPTQError."""
    if isinstance(file, PickledWeights):
        # A copy, so that the file is not needed once the model is loaded.
        return lambda name: file.mapped[name].clone(memory_format=torch.contiguous_format)
    try:
        return SafetensorsReader(file.path, file.tensors)
    except OSError as e:
        raise GPTQError(f'{file.path} cannot be read ({e}); check the file and its permissions.') from e


class PrefetchReader:
    """Reads on another thread what will be asked for next, while the caller works on what it has."""

    def __init__(self, read: ReadTensor, groups: Iterable[list[str]]) -> None:
        """`groups` are the names in the order in which they will be asked for; one group is read ahead."""
        self._read, self._groups = read, iter(groups)
        self._pool = ThreadPoolExecutor(1, 'reading')
        self._current: dict[str, Future[torch.Tensor]] = {}
        self._next: dict[str, Future[torch.Tensor]] = {}
        self.advance()

    def advance(self) -> None:
        """To be called before each group is asked for: begins to read the one after it."""
        self._current = self._next
        self._next = {n: self._pool.submit(self._read, n) for n in next(self._groups, ())}

    def __call__(self, name: str) -> torch.Tensor:
        """Raises what reading raises."""
        ready = self._current.pop(name, None)
        return self._read(name) if ready is None else ready.result()

    def __enter__(self) -> PrefetchReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
