"""Decoding on an NVIDIA GPU: the step for one new token as one CUDA graph, so that no Python runs between its kernels.

Stands on the model as its `forward`. What is not one token of one sequence on a cache of ours (kv_store.py) goes to
transformers' own forward, with the same cache; so does everything while a LoRA or a hook is on. The cache is not static:
kernels read from a table where its layers lie, so that each conversation keeps its own.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import threading
import types
import weakref

import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutputWithPast

from ...errors import first_line
from ...kernels.linear import GPTQLinear
from ...kernels.triton.device import on
from ...kernels.triton.kernel import TritonKernel
from ...model.oom import is_out_of_memory
from ..kv_cache import GrowingCache
from .plan import CannotPlan, Plan, make_plan

log = logging.getLogger('airoboros_gptq')

# Arguments of forward() that change nothing for one token on a full cache, or are looked at.
FEWEST = 9  # tokens that are worth a dequantised copy of each weight
_MAY_BE_ANYTHING = (
    *('input_ids', 'past_key_values', 'cache', 'attention_mask', 'position_ids', 'cache_position', 'use_cache'),
    *('logits_to_keep', 'num_logits_to_keep', 'return_dict'),
)


def speed_up_decoding(model: nn.Module) -> None:
    """Puts a Decoding onto the model where it can have one, and says in the log where it cannot."""
    kernels = [m.kernel for m in model.modules() if isinstance(m, GPTQLinear)]
    if not any(isinstance(kernel, TritonKernel) for kernel in kernels):
        return
    if os.environ.get('AIROBOROS_GPTQ_GRAPH') == '0':
        log.info('decoding runs layer by layer: AIROBOROS_GPTQ_GRAPH=0 asks for it')
        return
    try:
        with torch.no_grad():
            model.forward = Decoding(model, make_plan(model))
    except CannotPlan as e:
        log.info('decoding runs layer by layer, not as one CUDA graph: %s', e)
    except Exception as e:
        if not is_out_of_memory(e):
            raise
        log.warning('decoding runs layer by layer, not as one CUDA graph: there is no memory left for it')


class Decoding:
    """forward() of one model. Holds its tensors, not the model."""

    def __init__(self, model: nn.Module, plan: Plan):
        from . import graph as launch  # imports Triton

        functools.update_wrapper(self, type(model).forward)
        self.__signature__ = inspect.signature(types.MethodType(type(model).forward, model))
        self._model = weakref.ref(model)
        self.plan = plan
        with torch.inference_mode(False):  # its buffers are written to in any mode
            self.step = launch.Step(plan, model.dtype)
        self._at: tuple[weakref.ref, int] | None = None  # the cache and its length from which the step can go on
        self._lock = threading.Lock()  # its buffers are for one token at a time

    def __deepcopy__(self, memo):
        copy = memo[id(self._model())]
        return types.MethodType(type(copy).forward, copy)

    def __call__(self, *args, **kwargs):
        """As transformers' forward()."""
        cache = kwargs.get('past_key_values', kwargs.get('cache'))  # its name changes in transformers 5.40
        ids = args[0] if len(args) == 1 else kwargs.get('input_ids')
        if self.step is not None and len(args) < 2 and self._takes(ids, cache, kwargs):
            if ids.shape[1] > 1 or not cache.held():
                with on(ids.device):
                    return self._answer(self._many(cache, ids, kwargs), cache)
            try:
                with self._lock, on(ids.device):
                    return self._answer(self._next(cache, ids).clone(), cache)
            except Exception as e:
                if is_out_of_memory(e):
                    raise
                log.warning('decoding runs layer by layer from here on: its CUDA graph failed (%s)', first_line(e))
                self.step = None
        self._at = None
        model = self._model()
        return type(model).forward(model, *args, **kwargs)

    @staticmethod
    def _answer(logits: torch.Tensor, cache) -> CausalLMOutputWithPast:
        return CausalLMOutputWithPast(logits=logits, past_key_values=cache)

    def _many(self, cache: GrowingCache, ids: torch.Tensor, kwargs: dict) -> torch.Tensor:
        """Logits [1, n, vocabulary] of a prompt, or of its last tokens where they alone are asked for."""
        from .prefill import prefill  # imports Triton

        self._at = None
        self.step.leave()  # another conversation's cache may have been dropped for this one
        hidden = prefill(self.plan, ids, cache, cache.held())
        return self.plan.head(hidden[:, -_wanted(kwargs) :])

    def greedy(self, cache: GrowingCache, token: torch.Tensor, count: int) -> None:
        """Makes `count` tokens after `token` [1, 1] without looking at them: the bare speed, for measuring."""
        for _ in range(count):
            token = self._next(cache, token).argmax(-1)

    def _takes(self, ids, cache, kwargs: dict) -> bool:
        """Whether it is one sequence without padding on a cache of ours, and the model is as it was."""
        if not isinstance(cache, GrowingCache) or not isinstance(ids, torch.Tensor) or ids.dim() != 2 or len(ids) != 1:
            return False
        if torch.is_grad_enabled() or torch.is_autocast_enabled(ids.device.type) or kwargs.get('use_cache') is False:
            return False
        if any(not (v is None or v is False) for name, v in kwargs.items() if name not in _MAY_BE_ANYTHING):
            return False
        length, count = cache.held(), ids.shape[1]
        if not isinstance(_wanted(kwargs), int) or length + count > len(self.plan.cosine):
            return False
        if ids.device != self.plan.embedding.device:
            return False
        if count > 1 and (self.plan.window or count < FEWEST):
            return False
        return self._is_at(cache, length) or self.plan.is_intact

    def _is_at(self, cache: GrowingCache, length: int) -> bool:
        return self._at is not None and self._at[0]() is cache and self._at[1] == length

    def _next(self, cache: GrowingCache, ids: torch.Tensor) -> torch.Tensor:
        """Logits [1, 1, vocabulary] after one more token, in a buffer that the next call writes over."""
        length = cache.held()
        if cache.reserve(length + 1) or not self._is_at(cache, length):
            self.step.move_to(cache.buffers(), length)
        logits = self.step.run(ids)
        cache.crop_to(length + 1)
        self._at = (weakref.ref(cache), length + 1)
        return logits


def _wanted(kwargs: dict):
    """How many of the last tokens' logits are asked for; 0 for all. Newer transformers, older ones."""
    wanted = kwargs.get('logits_to_keep', kwargs.get('num_logits_to_keep'))
    return 0 if wanted is None else wanted
