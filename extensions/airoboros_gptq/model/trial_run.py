"""One forward pass over a few tokens before a load is called done: what would fail at the first token says so at load."""

from __future__ import annotations

import linecache
import logging
import re
from types import TracebackType

import torch
from torch import nn

from ..errors import GPTQError, first_line
from ..kernels.linear import GPTQLinear
from ..util.torch_errors import is_out_of_memory
from ..util.types import TransformersModel
from .load_plan import LoadPlan
from .tensor_checks import NotFiniteError, dtype_name, wider_dtypes

log = logging.getLogger('airoboros_gptq')

TOKENS = 9  # as many as make the kernels take the way of a prompt


def try_forward(model: TransformersModel, plan: LoadPlan) -> None:
    """Runs the model once, without a KV cache. A linear of which the code asks for its `weight` is dequantised then.

    Raises NotFiniteError where it does not compute finite numbers, GPTQError where it fails otherwise; errors of memory pass.
    """
    asked: set[tuple[type, str]] = set()
    while True:
        try:
            with torch.inference_mode():
                logits = _logits(model)
        except Exception as e:
            if is_out_of_memory(e):
                raise
            found = _asked_for_weight(e.__traceback__)
            if found is None or found in asked:
                raise GPTQError(
                    f'{plan.checkpoint.name} is loaded as a {type(model).__name__}, which does not run ({first_line(e)}); '
                    'use the transformers that the model was made for, or report it.'
                ) from e
            asked.add(found)
            _dequantize_all(model, *found)
            continue
        if not bool(logits.isfinite().all()):
            raise NotFiniteError(
                f'{plan.checkpoint.name} computes NaN or infinity in {dtype_name(plan.dtype)}; '
                f'load it with another dtype, {wider_dtypes(plan.dtype)}, or download it again.'
            )
        return


def _logits(model: TransformersModel) -> torch.Tensor:
    """Of a few tokens that every vocabulary has, [1, 1, vocabulary] or of all of them."""
    size = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(3, 3 + TOKENS, device=model.device).remainder(size)[None]
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return logits


def _asked_for_weight(traceback: TracebackType | None) -> tuple[type, str] | None:
    """(class, name of its child) where the code that failed asked a quantised linear for its `weight`; None where it did not."""
    found = None
    while traceback is not None:
        frame, line = traceback.tb_frame, traceback.tb_lineno
        owner = frame.f_locals.get('self')
        source = ''.join(linecache.getline(frame.f_code.co_filename, n) for n in range(line, line + 3))
        for name in re.findall(r'\bself\.(\w+)\.weight\b', source):
            if isinstance(owner, nn.Module) and isinstance(getattr(owner, name, None), GPTQLinear):
                found = type(owner), name
        traceback = traceback.tb_next
    return found


def _dequantize_all(model: nn.Module, owner: type, name: str) -> None:
    """Puts ordinary linears in place of the quantised ones called `name` in modules of class `owner`."""
    log.info('%s.%s is dequantised: the code of the model looks into its weight', owner.__name__, name)
    for module in model.modules():
        linear = getattr(module, name, None)
        if type(module) is owner and isinstance(linear, GPTQLinear):
            dtype, device = _float_dtype(model), linear.qweight.device
            with torch.inference_mode(False), torch.no_grad():
                weight = linear.kernel(torch.eye(linear.in_features, dtype=dtype, device=device)).T.contiguous()
            plain = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None, device='meta')
            plain.weight = nn.Parameter(weight, requires_grad=False)
            if linear.bias is not None:
                plain.bias = nn.Parameter(linear.bias, requires_grad=False)
            setattr(module, name, plain)


def _float_dtype(model: TransformersModel) -> torch.dtype:
    dtype: torch.dtype = model.get_input_embeddings().weight.dtype
    return dtype
