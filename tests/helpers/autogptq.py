"""AutoGPTQ's own QuantLinears as an oracle, where its package is installed (support.AUTO_GPTQ).

Under transformers 5 `import auto_gptq` fails (`no_init_weights` is gone). Its QuantLinears do not need the part that fails:
a bare module with the package's `__path__` lets them be imported alone.
"""

import importlib
import importlib.util
import logging
import sys
import types
from functools import lru_cache

import torch
from airoboros_gptq.kernels.packing import group_index, unpack_zeros

_PACKAGE = 'auto_gptq'


@lru_cache
def quant_linear_class(act_order):
    """The class that AutoGPTQ takes where ExLlama's kernels are not compiled. It runs on CPUs as well as on CUDA."""
    bare = types.ModuleType(_PACKAGE)
    bare.__path__ = list(importlib.util.find_spec(_PACKAGE).submodule_search_locations)
    is_bare = sys.modules.setdefault(_PACKAGE, bare) is bare
    logging.getLogger(_PACKAGE).setLevel(logging.ERROR)  # it warns of CUDA extensions at import
    try:
        name = 'qlinear_cuda' if act_order else 'qlinear_cuda_old'
        return importlib.import_module(f'{_PACKAGE}.nn_modules.qlinear.{name}').QuantLinear
    finally:
        if is_bare:
            del sys.modules[_PACKAGE]  # a later import gets the real package, or its own error


def quant_linear(packed, spec, dtype=torch.float32):
    """A QuantLinear with the tensors of a file: x [M, K] of `dtype` to [M, N]."""
    assert spec.checkpoint_format == 'gptq' and not spec.irregular_groups
    zeros = unpack_zeros(packed.qzeros, spec.bits, spec.checkpoint_format)
    assert not spec.desc_act or (zeros > 0).all(), 'qlinear_cuda reads a zero point of 0 as 2**bits'
    linear = quant_linear_class(spec.desc_act)(
        spec.bits, spec.group_size, spec.in_features, spec.out_features, False, weight_dtype=torch.float16
    )
    linear.qweight, linear.qzeros, linear.scales = packed.qweight, packed.qzeros, packed.scales.to(dtype)
    linear.g_idx = group_index(spec, packed.g_idx, packed.qweight.device).int()
    return linear
