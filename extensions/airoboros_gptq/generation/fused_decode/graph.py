"""The kernels of one decoding step, one after the other, and as a CUDA graph."""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton

from ...kernels.triton.dtypes import TRITON_TYPES
from ...kernels.triton.pdl import launch_options
from ...kernels.triton.weight_layout import WORDS
from . import decode_attention as attention
from . import decode_kernels as step
from .captured_graph import CapturedGraph, address_table

SPLITS, ATTENTION_BLOCK = 32, 64
_WIDTH = 128  # columns of a program that is no matmul


# By weight layout and kind of linear: tiles per program, warps, blocks read ahead. Found by tools/tune_gpu.py.
WORDS_LAUNCH = {'normed': (4, 2, 1), 'gated': (4, 4, 0), 'residual': (2, 4, 1), 'long residual': (2, 8, 0)}
BLOCKS_LAUNCH = {'normed': (1, 8, 4), 'gated': (2, 8, 4), 'residual': (1, 32, 2), 'long residual': (1, 32, 2)}

_LONG_ROWS = 8192  # rows


class LaunchConfig(NamedTuple):
    """Grid size and compile-time settings of a launch."""

    programs: int
    settings: dict


class DecodeGraph(CapturedGraph):
    """One token through the model of a DecodePlan. Buffers are allocated once."""

    def __init__(self, plan, dtype: torch.dtype):
        super().__init__('decoding runs', *address_table(len(plan.layers), plan.embedding.device))
        self._plan, self._dtype = plan, dtype
        self._size = plan.embedding.shape[1]
        wide = plan.heads * plan.head_dim

        def floats(*shape):
            return torch.zeros(shape, dtype=torch.float32, device=self.device)

        self._hidden = floats(self._size)
        middle = max(layer.down.kernel.spec.in_features if layer.down else 1 for layer in plan.layers)
        self._normed, self._attended, self._act = (floats(n) for n in (self._size, wide, middle))
        self._qkv = floats((plan.heads + 2 * plan.kv_heads) * plan.head_dim)
        self._head_pad = triton.next_power_of_2(plan.head_dim)
        self._partial = floats(plan.heads, SPLITS, self._head_pad)
        self._split_max_sum = floats(plan.heads, SPLITS, 2)
        self._counters = torch.zeros(plan.heads, dtype=torch.int32, device=self.device)
        self._last = torch.zeros(1, 1, self._size, dtype=dtype, device=self.device)
        self._token = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._pdl = launch_options(self.device)
        widths = [
            self._launch_config(linear, 'residual').programs
            for layer in plan.layers
            for linear in (layer.out, layer.down)
            if linear is not None
        ]
        blocks = max(*widths, triton.cdiv(self._size, _WIDTH))
        self._sums_of_squares, self._branch_squares = (floats(triton.next_power_of_2(blocks)) for _ in range(2))
        self._branch, self._unused = floats(self._size), floats(self._size)

    def run(self, token: torch.Tensor) -> torch.Tensor:
        """Logits [1, 1, vocabulary] after `token` [1, 1], in a buffer; its keys and values are written to the cache."""
        self._token.copy_(token.view(-1))
        return self.replay()

    def _launch(self) -> torch.Tensor:
        plan = self._plan
        first = plan.layers[0]
        self._write_hidden(plan.embedding, first.attention_norm, first.qkv, scale=plan.scales.embedding)
        following = [layer.attention_norm for layer in plan.layers[1:]] + [plan.final_norm]
        readers = [layer.qkv for layer in plan.layers[1:]] + [None]
        for i, layer in enumerate(plan.layers):
            self._normed_linear(layer.qkv)
            self._attend(i, layer)
            self._add_branch(layer.out, self._attended, layer.attention_post_norm, layer.mlp_norm, layer.gate_up)
            if layer.experts is not None:
                experts = layer.experts(self._normed_row())
                self._write_hidden(experts, following[i], readers[i], add=True, scale=plan.scales.residual)
            else:
                self._gated_linear(layer.gate_up, layer.down)
                self._add_branch(layer.down, self._act, layer.mlp_post_norm, following[i], readers[i])
        logits = plan.logits(self._normed_row())
        self.state[:1].add_(1)
        return logits

    def _normed_row(self) -> torch.Tensor:
        """RMSNorm(hidden) [1, 1, K], in a buffer, for a module of transformers."""
        step.last_norm_kernel[(triton.cdiv(self._size, _WIDTH),)](
            self._normed, self._sums_of_squares, self._last, self._blocks, self._size, self._plan.epsilon,
            WIDTH=_WIDTH, SQUARES=len(self._sums_of_squares), **self._pdl,
        )  # fmt: skip
        return self._last

    def _write_hidden(
        self, x: torch.Tensor, weight: torch.Tensor, reader, add: bool = False, scale: float = 1.0,
        post_norm: torch.Tensor | None = None, blocks: int = 0,
    ) -> None:  # fmt: skip
        """hidden = the token's row of x, or += x, scaled, and what the norm of `weight` and the linear behind it need. With a
        `post_norm`, x has `blocks` sums of squares.
        """
        self._blocks = triton.cdiv(self._size, _WIDTH)
        step.hidden_kernel[(self._blocks,)](
            x.contiguous(), self._token, weight, self._token if reader is None else _scatter(reader), self._hidden, self._normed,
            self._sums_of_squares, self._size, 1 if reader is None else reader.kernel.input_size, scale,
            weight if post_norm is None else post_norm, self._branch_squares, blocks, self._plan.epsilon,
            ADD=add, HAS_POST_NORM=post_norm is not None, SQUARES=len(self._branch_squares),
            **_reader(reader), WIDTH=_WIDTH, **self._pdl,
        )  # fmt: skip

    def _normed_linear(self, linear) -> None:
        config = self._launch_config(linear, 'normed')
        bias = linear.bias
        step.normed_linear_kernel[(config.programs,)](
            self._normed, self._sums_of_squares, self._qkv, self._qkv if bias is None else bias,
            *linear.weight_args(), self._blocks, self._size, self._plan.epsilon,
            HAS_BIAS=bias is not None, SQUARES=len(self._sums_of_squares), **config.settings, **self._pdl,
        )  # fmt: skip

    def _attend(self, index: int, layer) -> None:
        plan, reader = self._plan, layer.out
        attention.attention_kernel[(plan.kv_heads, SPLITS)](
            self._qkv, *layer.head_norms, *layer.rotary, self.state, self.addresses, index, self._attended, _scatter(reader),
            self._partial, self._split_max_sum, self._counters, plan.scale, plan.softcap or 0.0, plan.epsilon,
            reader.kernel.input_size,
            HEADS=plan.heads, KV_HEADS=plan.kv_heads, DIM=plan.head_dim, PAD=self._head_pad,
            ROWS=max(16, triton.next_power_of_2(plan.heads // plan.kv_heads)), CACHE=TRITON_TYPES[self._dtype],
            WINDOW=layer.window, HAS_NORMS=layer.has_head_norms, HAS_SOFTCAP=bool(plan.softcap),
            SPLITS=SPLITS, BLOCK=ATTENTION_BLOCK, num_warps=4, num_stages=2, **_reader(reader), **self._pdl,
        )  # fmt: skip

    def _gated_linear(self, linear, reader) -> None:
        config = self._launch_config(linear, 'gated')
        step.gated_linear_kernel[(config.programs,)](
            self._normed, self._sums_of_squares, self._act, _scatter(reader),
            *linear.weight_args(reader.kernel.spec.in_features), self._blocks, self._size, self._plan.epsilon,
            reader.kernel.input_size,
            SQUARES=len(self._sums_of_squares), ACTIVATION=self._plan.activation,
            **_reader(reader), **config.settings, **self._pdl,
        )  # fmt: skip

    def _add_branch(self, linear, x, post_norm, weight, reader) -> None:
        """hidden += linear(x), scaled and normed as the architecture has it; `weight` and `reader` as in _write_hidden()."""
        config = self._launch_config(linear, 'residual')
        bias, scale = linear.bias, self._plan.scales.residual
        targets = self._hidden, self._normed, self._sums_of_squares
        next_reader = reader
        if post_norm is not None:  # which needs the whole of what it norms
            targets, next_reader = (self._branch, self._unused, self._branch_squares), None
        step.residual_linear_kernel[(config.programs,)](
            x, *targets, self._hidden if bias is None else bias, weight,
            self._token if next_reader is None else _scatter(next_reader), *linear.weight_args(),
            1 if next_reader is None else next_reader.kernel.input_size, scale if post_norm is None else 1.0,
            ADD=post_norm is None, HAS_BIAS=bias is not None, **_reader(next_reader), **config.settings, **self._pdl,
        )  # fmt: skip
        self._blocks = config.programs
        if post_norm is not None:
            self._write_hidden(
                self._branch, weight, reader, add=True, scale=scale, post_norm=post_norm, blocks=config.programs
            )

    def _launch_config(self, linear, kind: str) -> LaunchConfig:
        """How the kernel of a linear is launched."""
        if kind == 'residual' and linear.kernel.spec.in_features > _LONG_ROWS:
            kind = 'long residual'
        kernel = linear.kernel
        tiles, warps, prefetch = (WORDS_LAUNCH if kernel.layout == WORDS else BLOCKS_LAUNCH)[kind]
        return LaunchConfig(kernel.programs(tiles, linear.codes), kernel.launch_settings(tiles, warps, prefetch))


def _scatter(linear) -> torch.Tensor:
    """`input_scatter` of the linear that reads what is written, or a placeholder that is not read."""
    return linear.codes if linear.input_scatter is None else linear.input_scatter


def _reader(linear) -> dict:
    """The layout in which the next linear reads its input, for store_input(); None is lm_head."""
    if linear is None:
        return {'HAS_SCATTER': False, 'READER_LAYOUT': WORDS, 'READER_BITS': 0}
    return {
        'HAS_SCATTER': linear.input_scatter is not None,
        'READER_LAYOUT': linear.kernel.layout,
        'READER_BITS': linear.kernel.bits,
    }
