"""One forward pass over a few tokens before a load is called done: what would fail at the first token says so at load."""

from __future__ import annotations

import logging
import re

import torch
from torch import nn

from ..errors import GPTQError, first_line
from ..kernels.lazy_weight import record_read_weights
from ..kernels.linear import GPTQLinear
from ..util.torch_errors import is_out_of_memory
from ..util.types import TransformersModel
from .load_plan import LoadPlan
from .tensor_checks import NotFiniteError, dtype_name, wider_dtypes

log = logging.getLogger('airoboros_gptq')

TOKENS = 9  # as many as make the kernels take the way of a prompt


def try_forward(model: TransformersModel, plan: LoadPlan) -> None:
    """Runs the model once, without a KV cache, or with one where it needs one (GLM-4V in transformers 4). A linear of which
    the code asks for its `weight` is dequantised then.

    Raises NotFiniteError where it does not compute finite numbers, GPTQError where it fails otherwise; errors of memory pass.
    """
    # A few tokens that every vocabulary has.
    size = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(3, 3 + TOKENS, device=model.device).remainder(size)[None]
    tried: set[str] = set()
    use_cache = False
    while True:
        with record_read_weights() as weights:
            try:
                with torch.inference_mode():
                    logits: torch.Tensor = model(input_ids=ids, use_cache=use_cache).logits
            except Exception as e:
                if is_out_of_memory(e):
                    raise
                read = _kinds(model, weights.read) - tried
                if not read and use_cache:
                    raise GPTQError(
                        f'{plan.checkpoint.name} is loaded as a {type(model).__name__}, which does not run '
                        f'({first_line(e)}); use the transformers that the model was made for, or report it.'
                    ) from e
                use_cache |= not read
                tried |= read
                _dequantize_all(model, read)
                continue
        if weights.computed:
            _dequantize_all(model, _kinds(model, weights.computed))
        if not bool(logits.isfinite().all()):
            raise NotFiniteError(
                f'{plan.checkpoint.name} computes NaN or infinity in {dtype_name(plan.dtype)}; '
                f'load it with another dtype, {wider_dtypes(plan.dtype)}, or download it again.'
            )
        return


def _kinds(model: nn.Module, linears: set[nn.Module]) -> set[str]:
    """The names of these modules, without the numbers of layers and experts."""
    return {_kind(name) for name, module in model.named_modules() if module in linears}


def _kind(name: str) -> str:
    return re.sub(r'\.\d+(?=\.|$)', '.#', name)


def _dequantize_all(model: nn.Module, kinds: set[str]) -> None:
    """Puts ordinary linears in place of the quantised ones of these kinds."""
    plain: dict[nn.Module, nn.Linear] = {}
    for name, linear in list(model.named_modules(remove_duplicate=False)):
        if isinstance(linear, GPTQLinear) and _kind(name) in kinds:
            plain[linear] = plain.get(linear) or linear.to_plain()
            model.set_submodule(name, plain[linear])
    for kind in sorted(kinds):
        log.info('%s is dequantised: the code of the model looks into its weight', kind)
