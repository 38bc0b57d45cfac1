"""forward() of a model on an NVIDIA GPU: one new token as one CUDA graph, so that no Python runs between its kernels.

What is not one sequence on a GrowingCache (kv_cache.py) goes to transformers' own forward, with the same cache; so does
everything while a LoRA or a hook is on. The cache is not static: the kernels read from a table where its layers are, so that
each conversation keeps its own.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutputWithPast

from ...errors import first_line
from ...kernels.linear import GPTQLinear
from ...kernels.triton.device import on
from ...kernels.triton.kernel import TritonKernel
from ...util.torch_errors import is_out_of_memory
from ..kv_cache import GrowingCache
from ..logits_to_keep import LOGITS_TO_KEEP, requested
from .plan import CannotFuse, DecodePlan, make_decode_plan

if TYPE_CHECKING:
    from .graph import DecodeGraph

log = logging.getLogger('airoboros_gptq')

MIN_PREFILL_ROWS = 9  # tokens that are worth a dequantised copy of each weight
# Arguments of forward() that change nothing for one token on a full cache, or that are looked at.
_SERVED_ARGUMENTS = (
    *('input_ids', 'past_key_values', 'cache', 'attention_mask', 'position_ids', 'cache_position', 'use_cache'),
    *(*LOGITS_TO_KEEP, 'return_dict'),
)


def enable_fused_decode(model: nn.Module) -> FusedForward | None:
    """The model's fused forward, where it can have one; else None, with the reason in the log."""
    kernels = [m.kernel for m in model.modules() if isinstance(m, GPTQLinear)]
    if not any(isinstance(kernel, TritonKernel) for kernel in kernels):
        return None
    if os.environ.get('AIROBOROS_GPTQ_GRAPH') == '0':
        log.info('decoding runs layer by layer: AIROBOROS_GPTQ_GRAPH=0 asks for it')
        return None
    try:
        with torch.no_grad():
            return FusedForward(model, make_decode_plan(model))
    except CannotFuse as e:
        log.info('decoding runs layer by layer, not as one CUDA graph: %s', e)
    except Exception as e:
        if not is_out_of_memory(e):
            raise
        log.warning('decoding runs layer by layer, not as one CUDA graph: there is no memory left for it')
    return None


class FusedForward:
    """forward() of one model. Holds its tensors, not the model."""

    def __init__(self, model: nn.Module, plan: DecodePlan):
        from .graph import DecodeGraph  # imports Triton

        self.plan = plan
        with torch.inference_mode(False):  # its buffers are written to in any mode
            self.graph: DecodeGraph | None = DecodeGraph(plan, model.dtype)
        self._position: tuple[weakref.ref, int] | None = None  # the cache and the length that the graph continues from
        self._lock = threading.Lock()  # its buffers are for one token at a time

    def __call__(self, args: tuple, kwargs: dict) -> CausalLMOutputWithPast | None:
        """The output of forward(*args, **kwargs); None where transformers' own must run."""
        cache = kwargs.get('past_key_values', kwargs.get('cache'))
        ids = args[0] if len(args) == 1 else kwargs.get('input_ids')
        if self.graph is not None and len(args) < 2 and self._can_run(ids, cache, kwargs):
            if ids.shape[1] > 1 or not cache.length:
                with on(ids.device):
                    return _output(self._prefill(cache, ids, requested(kwargs)), cache)
            try:
                with self._lock, on(ids.device):
                    return _output(self._decode_one(cache, ids).clone(), cache)
            except Exception as e:
                if is_out_of_memory(e):
                    raise
                log.warning('decoding runs layer by layer from here on: its CUDA graph failed (%s)', first_line(e))
                self.graph = None
        self._position = None
        return None

    def decode_greedily(self, cache: GrowingCache, token: torch.Tensor, count: int) -> None:
        """Decodes `count` tokens after `token` [1, 1] without bringing them to the host: the bare speed, for benchmarks."""
        for _ in range(count):
            token = self._decode_one(cache, token).argmax(-1)

    def _can_run(self, ids, cache, kwargs: dict) -> bool:
        """Whether the call is for one sequence without padding on a GrowingCache, and the model is unchanged."""
        if not isinstance(cache, GrowingCache) or not isinstance(ids, torch.Tensor) or ids.dim() != 2 or len(ids) != 1:
            return False
        if torch.is_grad_enabled() or torch.is_autocast_enabled(ids.device.type) or kwargs.get('use_cache') is False:
            return False
        if any(not (v is None or v is False) for name, v in kwargs.items() if name not in _SERVED_ARGUMENTS):
            return False
        length, count = cache.length, ids.shape[1]
        if not isinstance(requested(kwargs), int) or length + count > len(self.plan.cos):
            return False
        if ids.device != self.plan.embedding.device:
            return False
        if count > 1 and (self.plan.window or count < MIN_PREFILL_ROWS):
            return False
        return self._continues(cache, length) or self.plan.is_intact

    def _continues(self, cache: GrowingCache, length: int) -> bool:
        """Whether the graph is attached to this cache, at this length."""
        return self._position is not None and self._position[0]() is cache and self._position[1] == length

    def _prefill(self, cache: GrowingCache, ids: torch.Tensor, logits_to_keep: int) -> torch.Tensor:
        """Logits [1, n, vocabulary] of a prompt, or of its last `logits_to_keep` tokens; 0 for all."""
        from .prefill import prefill  # imports Triton

        self._position = None
        if self.graph is not None:
            self.graph.detach()  # the cache of another conversation may have been dropped for this one
        hidden = prefill(self.plan, ids, cache, cache.length)
        return self.plan.lm_head(hidden[:, -logits_to_keep:])

    def _decode_one(self, cache: GrowingCache, token: torch.Tensor) -> torch.Tensor:
        """Logits [1, 1, vocabulary] after `token` [1, 1], in a buffer that the next call writes over."""
        assert self.graph is not None
        length = cache.length
        if cache.reserve(length + 1) or not self._continues(cache, length):
            self.graph.attach_cache(cache.buffers(), length)
        logits = self.graph.run(token)
        cache.crop_to(length + 1)
        self._position = (weakref.ref(cache), length + 1)
        return logits


def _output(logits: torch.Tensor, cache: GrowingCache) -> CausalLMOutputWithPast:
    return CausalLMOutputWithPast(logits=logits, past_key_values=cache)
