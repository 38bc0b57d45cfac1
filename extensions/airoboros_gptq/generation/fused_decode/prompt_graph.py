"""A short prompt through the model of a DecodePlan as one CUDA graph, so that no Python runs between its kernels.

A graph has a fixed number of tokens. There is one for each of SIZES, made when it is first needed; a shorter prompt is padded,
and what the padding computes is not written to the cache.
"""

from __future__ import annotations

import threading

import torch

from ...kernels.triton.kernel import MAX_GEMM_ROWS
from ...kernels.triton.weight_layout import WORDS
from ..kv_cache import GrowingCache
from .captured_graph import CapturedGraph, address_table
from .prefill import through_layers
from .prompt_attention import attend_to_cache, rotate_into_cache

SIZES = (16, 32, MAX_GEMM_ROWS)  # tokens


class PromptGraphs:
    """The graphs of one model."""

    def __init__(self, plan, dtype: torch.dtype):
        self._plan, self._dtype = plan, dtype
        self._by_size: dict[int, _PromptGraph] = {}
        self._lock = threading.Lock()  # its buffers are for one prompt at a time

    def serves(self, count: int) -> bool:
        """Whether run() can serve a prompt of `count` tokens: every linear must have a matmul of few rows."""
        plan = self._plan
        linears = (linear for layer in plan.layers for linear in layer.linears)
        return (
            1 < count <= SIZES[-1]
            and plan.head_dim <= 256
            and self._dtype in (torch.float16, torch.bfloat16)
            and all(linear.kernel.layout != WORDS for linear in linears)
        )

    def run(self, ids: torch.Tensor, cache: GrowingCache) -> torch.Tensor:
        """Hidden states [1, n, K] of ids [1, n], normed for the head. The cache holds n tokens more afterwards."""
        count = ids.shape[1]
        size = next(size for size in SIZES if count <= size)
        if size not in self._by_size:
            self._by_size[size] = _PromptGraph(self._plan, size)
        if cache.buffers()[0][0] is None:
            nothing = torch.empty(
                1, self._plan.kv_heads, 0, self._plan.head_dim, dtype=self._dtype, device=self._plan.embedding.device
            )
            for i in range(len(self._plan.layers)):
                cache.update(nothing, nothing, i)
        length = cache.length
        cache.reserve(length + count)
        graph = self._by_size[size]
        with self._lock:
            graph.attach_cache(cache.buffers(), length)
            hidden = graph.run(ids[0])[None, :count].clone()
            graph.detach()
        cache.crop_to(length + count)
        return hidden


class _PromptGraph(CapturedGraph):
    """At most `size` tokens. A third number of `state` tells how many there are."""

    def __init__(self, plan, size: int):
        super().__init__(
            f'prompts of up to {size} tokens run', *address_table(len(plan.layers), plan.embedding.device, 3)
        )
        self._plan = plan
        with torch.inference_mode(False):  # written to in any mode
            self._ids = torch.zeros(size, dtype=torch.int64, device=self.device)

    def run(self, ids: torch.Tensor) -> torch.Tensor:
        """Hidden states [size, K] of ids [n]; those beyond the first n mean nothing."""
        self._ids[: len(ids)].copy_(ids)
        self.state[2:].fill_(len(ids))
        return self.replay()

    def _launch(self) -> torch.Tensor:
        plan = self._plan

        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            queries = rotate_into_cache(qkv, plan, self.state, self.addresses, layer)
            return attend_to_cache(queries, plan, self.state, self.addresses, layer)

        return through_layers(plan, self._ids, attend)
