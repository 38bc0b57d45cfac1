"""AutoGPTQ's own QuantLinear kernels, wherever that package is installed.

Under transformers 5 `import auto_gptq` fails (`no_init_weights` is gone), but its QuantLinears do not need the part
that fails: a bare module with the package's `__path__` lets them be imported alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import types
from functools import lru_cache

import torch

from ..errors import GPTQError
from .base import Kernel
from .packing import LinearSpec, PackedLinear, group_index, unpack_zeros

_PACKAGE = 'auto_gptq'


@lru_cache
def _import_qlinear(module: str):
    """The QuantLinear class of `auto_gptq.nn_modules.qlinear.<module>`; None where it cannot be imported."""
    if importlib.util.find_spec(_PACKAGE) is None:
        return None
    with _bare_package():
        level = logging.getLogger(_PACKAGE).level
        logging.getLogger(_PACKAGE).setLevel(logging.ERROR)  # it warns of CUDA extensions at import
        try:
            return importlib.import_module(f'{_PACKAGE}.nn_modules.qlinear.{module}').QuantLinear
        except Exception:  # whatever a foreign package does at import, it is only not available
            return None
        finally:
            logging.getLogger(_PACKAGE).setLevel(level)


class _bare_package:
    """Lets `auto_gptq.*` be imported without running the package's own __init__, which fails under transformers 5."""

    def __enter__(self):
        self.added = _PACKAGE not in sys.modules
        if self.added:
            bare = types.ModuleType(_PACKAGE)
            bare.__path__ = list(importlib.util.find_spec(_PACKAGE).submodule_search_locations)
            sys.modules[_PACKAGE] = bare

    def __exit__(self, *error):
        # Whoever imports auto_gptq later gets the real package or its own error, not our stand-in.
        if self.added:
            sys.modules.pop(_PACKAGE, None)


def _qlinear_for(spec: LinearSpec):
    """The class that AutoGPTQ takes where ExLlama's kernels are not compiled. It runs on CPUs as well as on CUDA."""
    return _import_qlinear('qlinear_cuda' if spec.desc_act else 'qlinear_cuda_old')


class AutoGPTQKernel(Kernel):
    """Holds one of AutoGPTQ's QuantLinears, filled with the file's tensors."""

    name = 'auto-gptq'

    @classmethod
    def why_not(cls, spec: LinearSpec, device: torch.device) -> str | None:
        if device.type not in ('cpu', 'cuda'):
            return f'it does not run on {device.type}'
        if spec.checkpoint_format != 'gptq':
            return f'it reads the format gptq, the file is {spec.checkpoint_format}'
        if spec.bits not in (2, 3, 4, 8) or spec.in_features % 32 or spec.out_features % 32:
            return 'it needs 2, 3, 4 or 8 bits and sizes that are multiples of 32'
        if not spec.desc_act and (spec.irregular_groups or spec.in_features % spec.group_size):
            return 'it is for groups of one size, and the file has a shorter one'
        return None if _qlinear_for(spec) is not None else 'the package auto-gptq is not installed'

    @classmethod
    def is_worthwhile(cls, spec: LinearSpec, device: torch.device) -> bool:
        """Only where AutoGPTQ's CUDA extension was built: without it these kernels dequantise, as the reference does."""
        qlinear = _qlinear_for(spec)
        return device.type == 'cuda' and bool(
            qlinear and getattr(sys.modules[qlinear.__module__], '_autogptq_cuda_available', False)
        )

    @classmethod
    def compute_dtype(cls, device: torch.device) -> torch.dtype:
        return torch.float32 if device.type == 'cpu' else torch.float16

    def __init__(self, packed: PackedLinear, spec: LinearSpec, dtype: torch.dtype):
        super().__init__(packed, spec, dtype)
        if spec.desc_act and bool((unpack_zeros(packed.qzeros, spec.bits, spec.checkpoint_format) == 0).any()):
            raise GPTQError('The kernel auto-gptq reads zero points of 0 wrongly in an act-order file; choose auto.')
        device = packed.qweight.device
        made = _qlinear_for(spec)(
            spec.bits, spec.group_size, spec.in_features, spec.out_features, False, weight_dtype=torch.float16
        )
        made.qweight = packed.qweight
        made.qzeros = packed.qzeros
        # Its torch path multiplies by scales of the activations' dtype; its CUDA kernels take half.
        made.scales = packed.scales.to(torch.float16 if device.type == 'cuda' else dtype)
        made.g_idx = group_index(spec, packed.g_idx, device).int()
        self.inner = made.to(device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)
