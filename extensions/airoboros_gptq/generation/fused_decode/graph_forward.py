"""forward() of a model on an NVIDIA GPU: one new token as one CUDA graph, so that no Python runs between its kernels.

What is not one sequence on a GrowingCache (kv_cache.py) goes to transformers' own forward, with the same cache; so does
everything while a LoRA or a hook is on. The cache is not static: the kernels read from a table where its layers are, so that
each conversation keeps its own.
"""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Any, Protocol

import torch
from transformers.modeling_outputs import CausalLMOutputWithPast

from ...errors import first_line
from ...kernels.triton.device import device_guard
from ...util.torch_errors import is_out_of_memory
from ..kv_cache import GrowingCache
from ..logits_to_keep import LOGITS_TO_KEEP, requested

log = logging.getLogger('airoboros_gptq')

# Arguments of forward() that change nothing for one token on a full cache, or that are looked at.
_SERVED_ARGUMENTS = (
    *('input_ids', 'past_key_values', 'cache', 'attention_mask', 'position_ids', 'cache_position', 'use_cache'),
    *(*LOGITS_TO_KEEP, 'return_dict'),
)


class Graph(Protocol):
    """One token through a model, captured at the first run."""

    @property
    def is_captured(self) -> bool:
        """Whether the graph exists by now."""

    def attach_cache(self, buffers: list[tuple[torch.Tensor, torch.Tensor]], length: int) -> None:
        """Continues in a cache: keys and values of its layers [1, heads, capacity, dim], the first `length` of them valid."""

    def detach(self) -> None:
        """Lets go of the cache it is attached to."""

    def run(self, token: torch.Tensor) -> torch.Tensor:
        """Logits [1, 1, vocabulary] after `token` [1, 1], in a buffer; its keys and values are written to the cache."""


class GraphForward:
    """forward() of one model. Subclasses say what else than single tokens they serve, and whether the model is unchanged."""

    def __init__(self, graph: Graph, device: torch.device, max_positions: int):
        """`max_positions` is the longest context that the graph can serve."""
        self.graph: Graph | None = graph
        self._device, self._max_positions = device, max_positions
        self._position: tuple[weakref.ref, int] | None = None  # the cache and the length that the graph continues from
        self._lock = threading.Lock()  # its buffers are for one token at a time

    def __call__(self, args: tuple, kwargs: dict) -> CausalLMOutputWithPast | None:
        """The output of forward(*args, **kwargs); None where transformers' own must run."""
        cache: Any = kwargs.get('past_key_values', kwargs.get('cache'))
        ids: Any = args[0] if len(args) == 1 else kwargs.get('input_ids')
        if self.graph is not None and len(args) < 2 and self._can_run(ids, cache, kwargs):
            if ids.shape[1] > 1 or not cache.length:
                self._release_graph()
                with device_guard(ids.device):
                    return _output(self._prefill(cache, ids, requested(kwargs)), cache)
            try:
                with self._lock, device_guard(ids.device):
                    return _output(self._decode_one(cache, ids).clone(), cache)
            except Exception as e:
                if is_out_of_memory(e):
                    raise
                log.warning('decoding runs layer by layer from here on: its CUDA graph failed (%s)', first_line(e))
                self.graph = None
        self._release_graph()
        return None

    def decode_greedily(self, cache: GrowingCache, token: torch.Tensor, count: int) -> None:
        """Decodes `count` tokens after `token` [1, 1] without bringing them to the host: the bare speed, for benchmarks."""
        for _ in range(count):
            token = self._decode_one(cache, token).argmax(-1)

    def is_intact(self) -> bool:
        """Whether the model is as it was when the graph was made: no module replaced, as a LoRA does, and no hook added."""
        raise NotImplementedError

    def serves_prompt(self, count: int) -> bool:
        """Whether _prefill() serves prompts of `count` tokens."""
        return False

    def _prefill(self, cache: GrowingCache, ids: torch.Tensor, logits_to_keep: int) -> torch.Tensor:
        """Logits [1, n, vocabulary] of a prompt ids [1, n], or of its last `logits_to_keep` tokens; 0 for all."""
        raise NotImplementedError

    def _can_run(self, ids, cache, kwargs: dict) -> bool:
        """Whether the call is for one sequence without padding on a GrowingCache, and the model is unchanged."""
        if not isinstance(cache, GrowingCache) or not isinstance(ids, torch.Tensor) or ids.dim() != 2 or len(ids) != 1:
            return False
        if torch.is_grad_enabled() or torch.is_autocast_enabled(ids.device.type) or kwargs.get('use_cache') is False:
            return False
        if any(not (v is None or v is False) for name, v in kwargs.items() if name not in _SERVED_ARGUMENTS):
            return False
        length, count = cache.length, ids.shape[1]
        if not isinstance(requested(kwargs), int) or length + count > self._max_positions or ids.device != self._device:
            return False
        if (count > 1 or not length) and not self.serves_prompt(count):
            return False
        return self._continues(cache, length) or self.is_intact()

    def _continues(self, cache: GrowingCache, length: int) -> bool:
        """Whether the graph is attached to this cache, at this length."""
        return self._position is not None and self._position[0]() is cache and self._position[1] == length

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

    def _release_graph(self) -> None:
        """Lets go of the cache that the graph is attached to: it may have been dropped for another conversation's."""
        self._position = None
        if self.graph is not None:
            self.graph.detach()


def _output(logits: torch.Tensor, cache: GrowingCache) -> CausalLMOutputWithPast:
    fields: dict[str, Any] = {
        'logits': logits,
        'past_key_values': cache,
    }  # newer ones call the second `cache`, and take both
    return CausalLMOutputWithPast(**fields)
