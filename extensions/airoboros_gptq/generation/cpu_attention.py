"""Attention on the CPU through the compiled kernel: PyTorch's own takes ten times as long for one query over many keys.

It stands among transformers' attention functions under a name of its own, which takes the place of 'sdpa' on models that
were loaded onto the CPU. What it does not take goes to 'sdpa', and masks are made as for that one.
"""

from __future__ import annotations

import inspect
import logging
import re
import sys
from functools import lru_cache

import torch
from torch import nn

from ..kernels.cpu.attention import HEAD_DIM_MULTIPLE, MAX_HEAD_DIM, attend
from ..kernels.cpu.bindings import load_library, unavailable_reason
from ..kernels.cpu.dtypes import DTYPE_CODES
from ..util.types import TransformersModel

log = logging.getLogger('airoboros_gptq')

NAME = 'airoboros_gptq_cpu'
_CHANGE_THE_RESULT = ('softcap', 'position_bias', 's_aux', 'head_mask', 'output_attentions')


def use_cpu_attention(model: TransformersModel) -> None:
    """Lets a model that is all on the CPU and runs transformers' sdpa attention run ours; leaves any other as it is.

    So is any under a transformers whose attention functions or masks cannot be added to (before 4.54), and without the
    compiled kernel.
    """
    if {p.device.type for p in model.parameters()} != {'cpu'} or not _can_be_set(model) or unavailable_reason():
        return
    try:
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS as masks
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as functions
    except ImportError:
        return
    functions.register(NAME, attention)
    masks.register(NAME, masks['sdpa'])
    model.set_attn_implementation(NAME)


def _can_be_set(model: TransformersModel) -> bool:
    return (
        model.config._attn_implementation == 'sdpa'
        and type(model).__module__.startswith('transformers.')
        and getattr(model, '_supports_attention_backend', False)
        and hasattr(model, 'set_attn_implementation')
        and model._can_set_attn_implementation()
        and not _asks_for_sdpa_by_name(type(model).__module__)
    )


@lru_cache
def _asks_for_sdpa_by_name(module: str) -> bool:
    """Whether the code of a model does something else where attention is called 'sdpa': DeepSeek-V3.2 and its kin put into the
    mask which keys were chosen, and leave that to any other attention function. (In transformers 4 such code only made masks.)
    """
    try:
        source = inspect.getsource(sys.modules[module])
    except (OSError, TypeError):
        return True
    found = re.search(r'_attn_implementation\s*(==|in)\s*[("\'][^\n]*\bsdpa\b', source)
    return found is not None and '_update_causal_mask' not in source


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """As transformers calls them: query [batch, H, n, D], key and value [batch, H / shared, K, D], to [batch, n, H, D]."""
    if (
        unavailable_reason()
        or dropout
        or any(kwargs.get(n) is not None and kwargs[n] is not False for n in _CHANGE_THE_RESULT)
        or not _are_plain(query, key, value)
        or not _is_causal(module, query, key, attention_mask, kwargs.get('is_causal'))
    ):
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as functions

        return functions['sdpa'](module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    return attend(load_library(), query, key, value, query.shape[3] ** -0.5 if scaling is None else scaling), None


def _are_plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether they are tensors of one sequence in the CPU's memory that nobody differentiates, casts or traces."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled('cpu'):
        return False
    if torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value)):
        return False
    dim, keys = query.shape[3], key.shape[2]
    return (
        all(type(t) is torch.Tensor and t.device.type == 'cpu' and t.dtype == query.dtype for t in (query, key, value))
        and query.dtype in DTYPE_CODES
        and key.shape == value.shape
        and len(query) == len(key) == 1
        and 0 < query.shape[2] <= keys
        and query.shape[1] % key.shape[1] == 0
        and key.shape[3] == dim <= MAX_HEAD_DIM
        and dim % HEAD_DIM_MULTIPLE == 0
    )


def _is_causal(module: nn.Module, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, said) -> bool:
    """Whether each query is to see all keys up to its own, where the queries are those of the last keys."""
    rows, keys = query.shape[2], key.shape[2]
    if mask is None:  # sdpa's: nothing is hidden from a single query; several begin with the first key
        return rows == 1 or (rows == keys and (getattr(module, 'is_causal', True) if said is None else bool(said)))
    return (
        mask.dtype == torch.bool and mask.shape == (1, 1, rows, keys) and torch.equal(mask[0, 0], _causal(rows, keys))
    )


@lru_cache(1)
def _causal(rows: int, keys: int) -> torch.Tensor:
    return torch.ones(rows, keys, dtype=torch.bool).tril(keys - rows)
