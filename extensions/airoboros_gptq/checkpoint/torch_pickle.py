"""Files that PyTorch pickled: `pytorch_model.bin`, `*.pt`. Only tensors come out of them: `torch.load(weights_only=True)`
refuses whatever else a pickle can do, and maps the file rather than reading it.

Their headers are in the pickle, so torch is needed to read them: it is imported when such a file is read, and only then.
"""

from __future__ import annotations

import zipfile
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GPTQError, first_line
from .tensor_info import TensorInfo

SUFFIXES = ('.bin', '.pt', '.pth')


@dataclass(frozen=True)
class PickledWeights:
    """The tensors of one file, by name, and the file's size in bytes. To be used like a `Header`."""

    path: Path
    tensors: dict[str, TensorInfo]
    size: int
    mapped: dict[str, Any] = field(repr=False, compare=False)

    def read_ints(self, name: str, limit: int | None = None) -> array[int]:
        """The values of an I32 tensor, flat; at most the first `limit` of them."""
        return array('i', self.mapped[name].reshape(-1)[:limit].tolist())


def read_pickle(path: Path) -> PickledWeights:
    """Raises GPTQError for a file that is not whole, or that holds more than tensors."""
    try:
        size = path.stat().st_size
        with path.open('rb') as f:
            start = f.read(8)
        whole = zipfile.is_zipfile(path)
    except OSError as e:
        raise GPTQError(f'{path} cannot be read ({e.strerror}); check the file and its permissions.') from e
    if start.startswith(b'version '):
        raise GPTQError(f'{path} is a Git LFS pointer, not the model itself; download the file again.')
    if not whole:
        if start.startswith(b'PK'):
            raise GPTQError(f'{path} has no end: the download was interrupted; download it again.')
        if start.startswith(b'\x80'):
            raise GPTQError(
                f'{path} is of a PyTorch before 1.6, and cannot be mapped; save it again, as safetensors, with a newer one.'
            )
        raise GPTQError(f'{path} is not a file of PyTorch; download it again.')
    state = _load(path)
    tensors = {name: _tensor_info(path, name, t) for name, t in state.items()}
    return PickledWeights(path, tensors, size, state)


def _load(path: Path) -> dict[str, Any]:
    """{name: tensor}, mapped from the file."""
    from pickle import UnpicklingError

    import torch

    try:
        state = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except UnpicklingError as e:
        raise GPTQError(
            f'{path} holds more than tensors, and such a pickle can run code; convert it to safetensors where you trust it.'
        ) from e
    except Exception as e:  # zip, pickle and storages each have their own errors
        raise GPTQError(f'{path} is not a whole file of PyTorch ({first_line(e)[:200]}); download it again.') from e
    if isinstance(state, dict) and isinstance(state.get('state_dict'), dict):
        state = state['state_dict']
    if not isinstance(state, dict):
        raise GPTQError(f'{path} holds a {type(state).__name__} where named tensors are expected; download it again.')
    return {str(name): t for name, t in state.items() if isinstance(t, torch.Tensor)}


def _tensor_info(path: Path, name: str, t: Any) -> TensorInfo:
    """A TensorInfo whose `begin` and `end` say only how many bytes there are."""
    import torch

    names = {
        torch.float64: 'F64',
        torch.float32: 'F32',
        torch.float16: 'F16',
        torch.bfloat16: 'BF16',
        torch.int64: 'I64',
        torch.int32: 'I32',
        torch.int16: 'I16',
        torch.int8: 'I8',
        torch.uint8: 'U8',
        torch.bool: 'BOOL',
    }
    if t.layout is not torch.strided or t.device.type != 'cpu' or t.is_quantized:
        raise GPTQError(f'{path} holds {name} as no plain tensor; convert the file to safetensors.')
    return TensorInfo(names.get(t.dtype, str(t.dtype)), tuple(t.shape), 0, t.numel() * t.element_size())
