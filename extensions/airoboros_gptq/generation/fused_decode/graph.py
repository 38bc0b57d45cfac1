"""The kernels of one decoding step, one after the other, and as a CUDA graph."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

import torch
import triton
import triton.language as tl

from ...kernels.triton import pdl as early
from ...kernels.triton import weight_layout as layout
from ...kernels.triton.gemv_words import ONE
from . import decode_attention as attention
from . import decode_kernels as step

log = logging.getLogger('airoboros_gptq')

SPLITS, ATTENTION_BLOCK = 32, 32
_WIDTH = 128  # columns of a program that is no matmul
_CACHE_TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


# By form and kind of linear: tiles of a program, warps, what is read ahead. As benchmarks/tune_gpu.py found them.
IN_WORDS = {'normed': (4, 2, 1), 'gated': (4, 4, 0), 'residual': (2, 4, 1), 'long residual': (2, 8, 0)}
IN_BLOCKS = {'normed': (1, 8, 4), 'gated': (2, 8, 4), 'residual': (1, 32, 2), 'long residual': (1, 32, 2)}

_LONG = 8192  # rows


class Way(NamedTuple):
    """Programs and compile-time settings of a launch."""

    programs: int
    settings: dict


class Step:
    """One token through the model of a plan (decoding_plan.py). Buffers are made once, the graph at the first run."""

    def __init__(self, plan, dtype: torch.dtype):
        self._plan, self._dtype = plan, dtype
        self._device = plan.embedding.device
        first = plan.layers[0]
        self._size = plan.embedding.shape[1]
        self._middle = first.down.kernel.spec.in_features
        wide = plan.heads * plan.head_dim

        def floats(*shape):
            return torch.zeros(shape, dtype=torch.float32, device=self._device)

        self._hidden = floats(self._size)
        self._normed, self._mixed, self._act = (floats(n) for n in (self._size, wide, self._middle))
        self._qkv = floats((plan.heads + 2 * plan.kv_heads) * plan.head_dim)
        self._partial = floats(plan.heads, SPLITS, plan.head_dim)
        self._peaks = floats(plan.heads, SPLITS, 2)
        self._counters = torch.zeros(plan.heads, dtype=torch.int32, device=self._device)
        self._last = torch.zeros(1, 1, self._size, dtype=dtype, device=self._device)
        self._token = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._state = torch.zeros(2, dtype=torch.int64, device=self._device)
        self._addresses = torch.zeros(2 * len(plan.layers), dtype=torch.int64, device=self._device)
        self._early = early.settings(self._device)
        self._buffers: list = []
        widths = [self._way(linear, 'residual').programs for layer in plan.layers for linear in (layer.out, layer.down)]
        blocks = max(*widths, triton.cdiv(self._size, _WIDTH))
        self._squares = floats(triton.next_power_of_2(blocks))
        self._logits = None
        self._graph = None

    @property
    def is_captured(self) -> bool:
        """Whether it runs as a graph by now."""
        return self._graph is not None

    def move_to(self, buffers: list[tuple[torch.Tensor, torch.Tensor]], length: int) -> None:
        """Goes on in a cache: its layers' keys and values [1, heads, room, dim], of which the first `length` are there."""
        self._buffers = buffers  # kept alive while their addresses are in use
        addresses = [tensor.data_ptr() for pair in buffers for tensor in pair]
        self._addresses.copy_(torch.tensor(addresses, dtype=torch.int64))
        self._state.copy_(torch.tensor([length, buffers[0][0].shape[2]], dtype=torch.int64))

    def leave(self) -> None:
        """Lets go of the cache it was moved to."""
        self._buffers = []

    def run(self, token: torch.Tensor) -> torch.Tensor:
        """Logits [1, 1, vocabulary] after `token` [1, 1], in a buffer; its keys and values are written to the cache."""
        self._token.copy_(token.view(-1))
        if self._device.type != 'cuda':
            self._logits = self._launch()
            return self._logits
        if self._graph is None:
            self._capture()
        self._graph.replay()
        return self._logits

    def _capture(self) -> None:
        started = time.perf_counter()
        state = self._state.clone()
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side), torch.inference_mode(False), torch.no_grad():
            for _ in range(2):  # compiles, and lets cuBLAS have its room
                self._launch()
                self._state.copy_(state)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.cuda.graph(graph, capture_error_mode='thread_local'),
        ):
            self._logits = self._launch()
        self._graph = graph
        log.info('decoding runs as one CUDA graph, made in %.1f s', time.perf_counter() - started)

    def _launch(self) -> torch.Tensor:
        plan, size = self._plan, self._size
        grid = (triton.cdiv(size, _WIDTH),)
        first = plan.layers[0]
        step.embed_kernel[grid](
            self._token, plan.embedding, first.first_norm, _place(first.qkv), self._hidden, self._normed, self._squares, size,
            first.qkv.kernel.input_size(), **_reader(first.qkv), WIDTH=_WIDTH, **self._early,
        )  # fmt: skip
        self._blocks = grid[0]
        following = [layer.first_norm for layer in plan.layers[1:]] + [plan.last_norm]
        readers = [layer.qkv for layer in plan.layers[1:]] + [None]
        for i, layer in enumerate(plan.layers):
            self._normed_linear(layer.qkv)
            self._attend(i, layer.out)
            self._residual_linear(layer.out, self._mixed, layer.second_norm, layer.gate_up)
            self._gated_linear(layer.gate_up, layer.down)
            self._residual_linear(layer.down, self._act, following[i], readers[i])
        step.last_norm_kernel[grid](
            self._normed, self._squares, self._last, self._blocks, size, plan.epsilon,
            WIDTH=_WIDTH, SQUARES=len(self._squares), **self._early,
        )  # fmt: skip
        logits = plan.head(self._last)
        self._state[:1].add_(1)
        return logits

    def _normed_linear(self, linear) -> None:
        way = self._way(linear, 'normed')
        bias = linear.bias
        step.normed_linear_kernel[(way.programs,)](
            self._normed, self._squares, self._qkv, self._qkv if bias is None else bias, *linear.tensors, len(self._qkv),
            *linear.kernel.sizes(), ONE, self._blocks, self._size, self._plan.epsilon,
            HAS_BIAS=bias is not None, SQUARES=len(self._squares), **way.settings, **self._early,
        )  # fmt: skip

    def _attend(self, index: int, reader) -> None:
        plan = self._plan
        attention.attention_kernel[(plan.heads, SPLITS)](
            self._qkv, plan.cosine, plan.sine, self._state, self._addresses, index, self._mixed, _place(reader),
            self._partial, self._peaks, self._counters, plan.scale, reader.kernel.input_size(),
            HEADS=plan.heads, KV_HEADS=plan.kv_heads, DIM=plan.head_dim, CACHE=_CACHE_TYPES[self._dtype],
            WINDOW=plan.window, SPLITS=SPLITS, BLOCK=ATTENTION_BLOCK, **_reader(reader), **self._early,
        )  # fmt: skip

    def _gated_linear(self, linear, reader) -> None:
        way = self._way(linear, 'gated')
        step.gated_linear_kernel[(way.programs,)](
            self._normed, self._squares, self._act, _place(reader), *linear.tensors, self._middle, *linear.kernel.sizes(),
            ONE, self._blocks, self._size, self._plan.epsilon, reader.kernel.input_size(),
            SQUARES=len(self._squares), **_reader(reader), **way.settings, **self._early,
        )  # fmt: skip

    def _residual_linear(self, linear, x, weight, reader) -> None:
        way = self._way(linear, 'residual')
        bias = linear.bias
        step.residual_linear_kernel[(way.programs,)](
            x, self._hidden, self._normed, self._squares, self._hidden if bias is None else bias, weight,
            self._token if reader is None else _place(reader), *linear.tensors, self._size, *linear.kernel.sizes(), ONE,
            1 if reader is None else reader.kernel.input_size(),
            HAS_BIAS=bias is not None, **_reader(reader), **way.settings, **self._early,
        )  # fmt: skip
        self._blocks = way.programs

    def _way(self, linear, kind: str) -> Way:
        """How a linear's kernel is launched."""
        if kind == 'residual' and linear.kernel.spec.in_features > _LONG:
            kind = 'long residual'
        kernel = linear.kernel
        tiles, warps, ahead = (IN_WORDS if kernel.form == layout.WORDS else IN_BLOCKS)[kind]
        return Way(kernel.programs(tiles, linear.tensors), kernel.constants(tiles, warps, ahead))


def _place(linear) -> torch.Tensor:
    """`place` of the linear that reads what is written, or a stand-in that is not looked at."""
    return linear.codes if linear.place is None else linear.place


def _reader(linear) -> dict:
    """How what is written is to lie for the linear that reads it, as gpu.sums.write_input() is told; None is the head."""
    if linear is None:
        return {'HAS_PLACE': False, 'READER': layout.WORDS, 'READER_BITS': 0}
    return {'HAS_PLACE': linear.place is not None, 'READER': linear.kernel.form, 'READER_BITS': linear.kernel.bits}
