"""The dtype of each parameter of an empty model, as from_pretrained() decides it: that which was asked for, but float32 where the
model's code declares it or lists a part that must stay in it (routers of DeepSeek, ERNIE and Hunyuan, the norms of GPT-OSS).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import nn

from ..util.types import TransformersModel


def set_parameter_dtypes(model: TransformersModel, dtype: torch.dtype) -> None:
    """Gives the parameters of a model on the meta device, and the buffers that its file holds, the dtype in which they are to be
    loaded. `dtype` is that of the model.
    """
    embeddings = model.get_input_embeddings()
    # Where nothing is in the model's dtype, as before transformers 4.54, what is declared says nothing.
    is_declared = embeddings is None or embeddings.weight.dtype is dtype
    stays_float32 = _listed_in_float32(model, dtype)
    for path, module in model.named_modules():
        for name, p in module._parameters.items():
            if p is None or not p.is_floating_point():
                continue
            # bfloat16 is declared too, by Apertus in transformers 4, which then does not run in float16.
            is_kept = stays_float32(f'{path}.{name}') or (is_declared and p.dtype is torch.float32)
            wanted = torch.float32 if is_kept else dtype
            if p.dtype is not wanted:
                module._parameters[name] = nn.Parameter(p.to(wanted), requires_grad=p.requires_grad)
        for name, buffer in module._buffers.items():
            is_stored = buffer is not None and name not in module._non_persistent_buffers_set
            if is_stored and buffer.is_floating_point() and stays_float32(f'{path}.{name}'):
                module._buffers[name] = buffer.float()


def _listed_in_float32(model: TransformersModel, dtype: torch.dtype) -> Callable[[str], bool]:
    """Whether the model's class lists a parameter as one that stays in float32: one list counts for float16 alone, the strict one
    for bfloat16 too. Names of modules until transformers 4, patterns that may match anywhere since 5.
    """
    names: list[str] = []
    if dtype is torch.float16:
        names += getattr(model, '_keep_in_fp32_modules', None) or ()
    if dtype in (torch.float16, torch.bfloat16):
        names += getattr(model, '_keep_in_fp32_modules_strict', None) or ()
    if not names:
        return lambda name: False
    if hasattr(model, '_get_dtype_plan'):
        pattern = re.compile('|'.join(name.replace('*', '.*') for name in names))
    else:
        pattern = re.compile('|'.join(rf'(^|\.){name}($|\.)' for name in names))
    return lambda name: pattern.search(name) is not None
