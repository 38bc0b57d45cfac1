"""The compiled library as functions over tensors: repack() and gemm(), attend() in attention.py, dense() in dense.py."""

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
from .attention import attend
from .attention import reference as attention_reference
from .compile import CompileError
from .dense import dense
from .dense import reference as dense_reference
from .dtypes import DTYPE_CODES
from .library_cache import compiled_library

log = logging.getLogger('airoboros_gptq')

_P, _L, _I = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_SIGNATURES: dict[str, list[type]] = {
    'gptq_tile_columns': [],
    'gptq_instruction_set': [],
    'gptq_set_openmp': [_P] * 2,
    'gptq_advise_huge_pages': [_P, _L],
    'gptq_repack': [*[_P] * 4, *[_L] * 3, *[_I] * 3, *[_P] * 3, _I],
    'gptq_gemm': [_P, _P, _L, _I, *[_P] * 4, *[_L] * 4, *[_I] * 3],
    'gptq_attention': [*[_P] * 4, _I, _P, ctypes.c_float, _I],
    'gptq_dense': [*[_P] * 3, _I, *[_L] * 3, _I],
    'gptq_delay_threads': [_L],
}
_OPENMP_ENTRY_POINTS = ('GOMP_parallel', 'omp_get_thread_num')


class TiledWeight(NamedTuple):
    """A weight as the library reads it (csrc/weight_layout.h): tiles of T columns, codes of `b` bits, 4 or 8."""

    codes: torch.Tensor  # int32 [ceil(N / T), K*b/32, T]
    scales: torch.Tensor  # the bits of fp16, or of fp32, as int16 or int32 [ceil(N / T), G, T]: no cast must touch them
    zeros: torch.Tensor  # uint8 [ceil(N / T), G, T]
    order: torch.Tensor | None  # int32 [K], with act-order: the input feature of each row, sorted by group


def repack(library: ctypes.CDLL, packed: PackedLinear, spec: LinearSpec) -> TiledWeight:
    """The tensors of a file, on the CPU, as tiles; nothing is unpacked on the way."""
    scales = narrow_scales(packed.scales).contiguous()
    qweight, qzeros = packed.qweight.contiguous(), packed.qzeros.contiguous()
    order = row_order(packed, spec)
    order = None if order is None else order.int()
    groups, columns = scales.shape[0], library.gptq_tile_columns()
    tiles = -(-spec.out_features // columns)
    words = spec.in_features * NATIVE_CPU.stored_bits(spec.bits) // 32
    scales_are_fp32 = scales.dtype == torch.float32
    codes = torch.empty(tiles, words, columns, dtype=torch.int32)
    library.gptq_advise_huge_pages(codes.data_ptr(), codes.nbytes)
    tiled_scales = torch.empty(tiles, groups, columns, dtype=torch.int32 if scales_are_fp32 else torch.int16)
    zeros = torch.empty(tiles, groups, columns, dtype=torch.uint8)
    library.gptq_repack(
        qweight.data_ptr(),
        qzeros.data_ptr(),
        scales.data_ptr(),
        _pointer(order),
        spec.in_features,
        spec.out_features,
        groups,
        spec.bits,
        scales_are_fp32,
        spec.checkpoint_format == 'gptq',
        codes.data_ptr(),
        tiled_scales.data_ptr(),
        zeros.data_ptr(),
        torch.get_num_threads(),
    )
    return TiledWeight(codes, tiled_scales, zeros, order)


def gemm(library: ctypes.CDLL, x: torch.Tensor, weight: TiledWeight, spec: LinearSpec) -> torch.Tensor:
    """x [M, K], contiguous, of one of DTYPE_CODES, to x @ w [M, N]. Raises MemoryError."""
    y = torch.empty(x.shape[0], spec.out_features, dtype=x.dtype)
    failed = library.gptq_gemm(
        x.data_ptr(),
        y.data_ptr(),
        x.shape[0],
        DTYPE_CODES[x.dtype],
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


def load_library() -> ctypes.CDLL:
    """The compiled library, made and loaded once a process. Raises RuntimeError where unavailable_reason() has a reason."""
    library, reason = _library_or_reason()
    if library is None:
        raise RuntimeError(f'There is no compiled kernel: {reason}.')
    return library


def unavailable_reason() -> str | None:
    """None where load_library() has a library, else the reason why not, as half a sentence; once a process, in the log too."""
    return _library_or_reason()[1]


def instruction_set() -> str | None:
    """The widest vectors that the compiled library uses, as 'AVX2'; None where there is none."""
    return load_library().gptq_instruction_set().decode() if unavailable_reason() is None else None


@lru_cache
def _library_or_reason() -> tuple[ctypes.CDLL | None, str | None]:
    try:
        with compiled_library() as path:
            library = open_library(path)
        check_library(library)
    except CompileError as e:
        log.info('the CPU kernel is not used: %s; PyTorch has a slower one', e)
        return None, str(e)
    except Exception as e:  # whatever a compiler did wrong, the kernel is only not available
        log.warning('the CPU kernel that was compiled is not used: %s; PyTorch has a slower one', first_line(e))
        return None, f'what was compiled does not work ({first_line(e)})'
    return library, None


def open_library(path: Path) -> ctypes.CDLL:
    """A compiled library with its signatures, and PyTorch's threads for large jobs. Raises OSError where it cannot be loaded."""
    library = ctypes.CDLL(str(path))
    for function, arguments in _SIGNATURES.items():
        getattr(library, function).argtypes = arguments
    library.gptq_instruction_set.restype = ctypes.c_char_p
    for runtime in (None, *_openmp_runtimes_of_torch()):
        with contextlib.suppress(OSError, AttributeError):
            openmp = ctypes.CDLL(runtime)
            library.gptq_set_openmp(*(ctypes.cast(getattr(openmp, name), _P) for name in _OPENMP_ENTRY_POINTS))
            break
    return library


def check_library(library: ctypes.CDLL) -> None:
    """Raises RuntimeError where it does not compute what the reference does: compilers err, and processors are emulated."""
    generator = torch.Generator().manual_seed(0)

    def words(*shape: int) -> torch.Tensor:
        return torch.randint(-(2**31), 2**31, shape, generator=generator).int()

    for bits in (4, 8):
        spec = LinearSpec(256, 64, bits, 128, False)
        scales = torch.rand(2, 64, generator=generator).half()
        packed = PackedLinear(words(256 * bits // 32, 64), words(2, 64 * bits // 32), scales)
        tiled, weight = repack(library, packed, spec), dequantize(packed, spec)
        for rows in (1, 7, 11):
            x = torch.randn(rows, 256, generator=generator)
            expected = x @ weight
            if not torch.dist(gemm(library, x, tiled, spec), expected) < 1e-3 * expected.norm():
                raise RuntimeError(f'it computes {bits} bits wrongly')
    x, matrix = torch.randn(3, 512, generator=generator), torch.randn(301, 512, generator=generator)
    expected = dense_reference(x, matrix)
    if not torch.dist(dense(library, x, matrix), expected) < 1e-4 * expected.norm():
        raise RuntimeError('it computes an lm_head wrongly')
    for rows in (1, 20):
        q, k, v = (torch.randn(1, heads, n, 48, generator=generator) for heads, n in ((2, rows), (1, 600), (1, 600)))
        expected = attention_reference(q, k, v, 0.1)
        if not torch.dist(attend(library, q, k, v, 0.1), expected) < 1e-4 * expected.norm():
            raise RuntimeError(f'it computes the attention of {rows} rows wrongly')


def _pointer(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _openmp_runtimes_of_torch() -> list[str]:
    folder = Path(torch.__file__).parent / 'lib'
    return [str(p) for pattern in ('libgomp*.so*', 'libiomp5*.so*', 'libomp*.so*') for p in folder.glob(pattern)]
