"""Round-to-nearest quantisation to 8 bits, packed as AutoGPTQ packs: kernels/packing.py has the format.

At 8 bits GPTQ's own correction of the rounding errors would change next to nothing; at 4 bits this model loses much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import GPTQError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BITS = 8
GROUP_SIZE = 64
_ZERO = 128  # symmetric; version 1 of the format stores one less
_MAX_CODE = 127  # distance from the zero point


def quantize_linear(weight: Array) -> dict[str, Array]:
    """qweight, qzeros, scales and g_idx of a weight, fp32 [N, K] as transformers has it. Raises GPTQError where K or N is not
    a multiple of the group size, or of the 4 codes in a word.
    """
    import numpy as np

    n, k = weight.shape
    if k % GROUP_SIZE or n % (32 // BITS):
        raise GPTQError(f'A weight of {n} x {k} cannot be quantised in groups of {GROUP_SIZE}.')
    groups = weight.reshape(n, k // GROUP_SIZE, GROUP_SIZE)
    # Codes are rounded with the scale as the file has it. The smallest normal number of fp16 is for groups of zeros.
    scales = np.maximum(np.abs(groups).max(-1) / _MAX_CODE, np.finfo(np.float16).tiny).astype(np.float16)
    steps = np.rint(groups / scales.astype(np.float32)[..., None]).clip(-_MAX_CODE, _MAX_CODE)
    codes = (steps + _ZERO).astype(np.uint8).reshape(n, k // 4, 4)
    return {
        'qweight': np.ascontiguousarray(codes.swapaxes(0, 1)).view('<i4')[..., 0],
        'qzeros': np.full((k // GROUP_SIZE, n), _ZERO - 1, np.uint8).view('<i4'),
        'scales': np.ascontiguousarray(scales.T),
        'g_idx': (np.arange(k) // GROUP_SIZE).astype(np.int32),
    }
