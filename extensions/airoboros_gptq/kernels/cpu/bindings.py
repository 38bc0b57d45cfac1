"""The compiled kernel as functions over tensors: `pack` and `multiply`, and `attend` in attention.py."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from ...checkpoint.linear_spec import LinearSpec
from ...errors import first_line
from ..packing import PackedLinear, dequantize, narrow_scales, row_order
from ..rules import NATIVE_CPU
from . import compile as build
from .attention import attend, reference
from .dtypes import TYPES

log = logging.getLogger('airoboros_gptq')

_P, _L, _I = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_SIGNATURES = {
    'gptq_tile': [],
    'gptq_instructions': [],
    'gptq_use_pool': [_P] * 3,
    'gptq_want_large_pages': [_P, _L],
    'gptq_pack': [*[_P] * 4, *[_L] * 3, *[_I] * 3, *[_P] * 3, _I],
    'gptq_multiply': [_P, _P, _L, _I, *[_P] * 4, *[_L] * 4, *[_I] * 3],
    'gptq_attend': [*[_P] * 4, _I, _P, ctypes.c_float, _I],
}


class Tiles(NamedTuple):
    """A weight as the kernel reads it (storage.h), for tiles of T columns and codes of `b` bits, 4 or 8."""

    codes: torch.Tensor  # int32 [ceil(N / T), K*b/32, T]
    scales: torch.Tensor  # the bits of fp16, or of fp32, as int16 or int32 [ceil(N / T), G, T]: no cast must touch them
    zeros: torch.Tensor  # uint8 [ceil(N / T), G, T]
    order: torch.Tensor | None  # int32 [K], with act-order: the input feature of each row, sorted by group


def pack(library: ctypes.CDLL, packed: PackedLinear, spec: LinearSpec) -> Tiles:
    """The tensors of a file, on the CPU, as tiles; nothing is unpacked on the way."""
    scales = narrow_scales(packed.scales).contiguous()
    qweight, qzeros = packed.qweight.contiguous(), packed.qzeros.contiguous()
    order = row_order(packed, spec)
    order = None if order is None else order.int()
    groups, tile = scales.shape[0], library.gptq_tile()
    tiles = -(-spec.out_features // tile)
    codes = torch.empty(tiles, spec.in_features * NATIVE_CPU.stored_bits(spec.bits) // 32, tile, dtype=torch.int32)
    library.gptq_want_large_pages(codes.data_ptr(), codes.nbytes)
    wide = scales.dtype == torch.float32
    made = Tiles(
        codes,
        torch.empty(tiles, groups, tile, dtype=torch.int32 if wide else torch.int16),
        torch.empty(tiles, groups, tile, dtype=torch.uint8),
        order,
    )
    library.gptq_pack(
        qweight.data_ptr(),
        qzeros.data_ptr(),
        scales.data_ptr(),
        _pointer(order),
        spec.in_features,
        spec.out_features,
        groups,
        spec.bits,
        wide,
        spec.checkpoint_format == 'gptq',
        codes.data_ptr(),
        made.scales.data_ptr(),
        made.zeros.data_ptr(),
        torch.get_num_threads(),
    )
    return made


def multiply(library: ctypes.CDLL, x: torch.Tensor, weight: Tiles, spec: LinearSpec) -> torch.Tensor:
    """x [M, K], contiguous, of one of TYPES, to [M, N]. Raises MemoryError."""
    y = torch.empty(x.shape[0], spec.out_features, dtype=x.dtype)
    failed = library.gptq_multiply(
        x.data_ptr(),
        y.data_ptr(),
        x.shape[0],
        TYPES[x.dtype],
        weight.codes.data_ptr(),
        weight.scales.data_ptr(),
        weight.zeros.data_ptr(),
        _pointer(weight.order),
        spec.in_features,
        spec.out_features,
        spec.group_size,
        NATIVE_CPU.activation_block(spec),
        NATIVE_CPU.stored_bits(spec.bits),
        weight.scales.dtype == torch.int32,
        torch.get_num_threads(),
    )
    if failed:
        raise MemoryError(f'no memory for the activations of {x.shape[0]} rows')
    return y


@lru_cache
def find_library() -> tuple[ctypes.CDLL | None, str | None]:
    """The compiled kernel, or why there is none, as half a sentence; looked for once, with a line in the log."""
    try:
        library = open_library(build.library())
        check(library)
    except build.CannotBuild as e:
        log.info('the CPU kernel is not used: %s; PyTorch has a slower one', e)
        return None, str(e)
    except Exception as e:  # whatever is wrong with what somebody's compiler made, it is only not available
        log.warning('the CPU kernel that was compiled is not used: %s; PyTorch has a slower one', first_line(e))
        return None, f'what was compiled does not work ({first_line(e)})'
    return library, None


def instructions() -> str | None:
    """What the compiled kernel makes use of, as 'AVX2'; None where there is none."""
    library = find_library()[0]
    return None if library is None else library.gptq_instructions().decode()


def open_library(path: Path) -> ctypes.CDLL:
    """A compiled kernel with its signatures, working on PyTorch's threads. Raises OSError where it cannot be loaded."""
    library = ctypes.CDLL(str(path))
    for function, arguments in _SIGNATURES.items():
        getattr(library, function).argtypes = arguments
    library.gptq_instructions.restype = ctypes.c_char_p
    names = ('GOMP_parallel', 'omp_get_thread_num', 'omp_get_num_threads')
    for path_or_none in (None, *_openmp_of_torch()):
        with contextlib.suppress(OSError, AttributeError):
            runtime = ctypes.CDLL(path_or_none)
            library.gptq_use_pool(*(ctypes.cast(getattr(runtime, function), _P) for function in names))
            break
    return library


def check(library: ctypes.CDLL) -> None:
    """Raises RuntimeError where it does not compute what the reference does: compilers err, and processors are emulated."""
    random = torch.Generator().manual_seed(0)

    def words(*shape: int) -> torch.Tensor:
        return torch.randint(-(2**31), 2**31, shape, generator=random).int()

    for bits in (4, 8):
        spec = LinearSpec(256, 64, bits, 128, False)
        scales = torch.rand(2, 64, generator=random).half()
        packed = PackedLinear(words(256 * bits // 32, 64), words(2, 64 * bits // 32), scales)
        tiles, weight = pack(library, packed, spec), dequantize(packed, spec)
        for rows in (1, 7, 11):
            x = torch.randn(rows, 256, generator=random)
            right = x @ weight
            if not torch.dist(multiply(library, x, tiles, spec), right) < 1e-3 * right.norm():
                raise RuntimeError(f'it computes {bits} bits wrongly')
    for rows in (1, 20):
        q, k, v = (torch.randn(1, heads, n, 48, generator=random) for heads, n in ((2, rows), (1, 600), (1, 600)))
        right = reference(q, k, v, 0.1)
        if not torch.dist(attend(library, q, k, v, 0.1), right) < 1e-4 * right.norm():
            raise RuntimeError(f'it computes the attention of {rows} rows wrongly')


def _pointer(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _openmp_of_torch() -> list[str]:
    folder = Path(torch.__file__).parent / 'lib'
    return [str(p) for pattern in ('libgomp*.so*', 'libiomp5*.so*', 'libomp*.so*') for p in folder.glob(pattern)]
