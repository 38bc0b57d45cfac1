"""Files that PyTorch pickled: `pytorch_model.bin`, `*.pt`. Only tensors come out of them: `torch.load(weights_only=True)`
refuses whatever else a pickle can do, and maps the file rather than reading it.

Their headers are in the pickle, so torch is needed to read them: it is imported when such a file is read, and only then.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GPTQError, first_line
from .tensor_info import TensorInfo
from .torch_archive import check_archive

SUFFIXES = ('.bin', '.pt', '.pth')
# Before it, weights_only=True could be got round: CVE-2025-32434, https://github.com/advisories/GHSA-53q9-r3pm-6pq6
_SAFE_TORCH = (2, 6)


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
    """Raises GPTQError for a file that is not whole, or that holds more than tensors, and for any with a torch before 2.6."""
    size = check_archive(path)
    state = _load(path)
    tensors = {name: _tensor_info(path, name, t) for name, t in state.items()}
    return PickledWeights(path, tensors, size, state)


def _load(path: Path) -> dict[str, Any]:
    """{name: tensor}, mapped from the file."""
    from pickle import UnpicklingError

    import torch

    if _release(torch.__version__) < _SAFE_TORCH:
        raise GPTQError(
            f'{path} is a pickle, and PyTorch {torch.__version__} reads pickles in a way that can run code '
            '(CVE-2025-32434); use PyTorch 2.6 or newer, or a safetensors file.'
        )
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
    # A name may be any object, and str() of nested tuples takes time without end.
    return {name: t for name, t in state.items() if isinstance(name, str) and isinstance(t, torch.Tensor)}


def _release(version: str) -> tuple[int, ...]:
    """(2, 6) of '2.6.0+cu124'; (0, 0) of what has no such form."""
    found = re.match(r'(\d{1,4})\.(\d{1,4})', version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


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
    size = t.numel() * t.element_size()
    if size > t.untyped_storage().nbytes():  # one number of the file, repeated: a copy would take all memory
        raise GPTQError(f'{path} holds {name}, of more numbers than are in the file; download it again.')
    return TensorInfo(names.get(t.dtype, str(t.dtype)), tuple(t.shape), 0, size)
