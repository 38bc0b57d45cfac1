"""What a fused decode step needs of a model: its tensors, with linears that share an input joined into one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from ...kernels.linear import GPTQLinear
from ...kernels.triton.kernel import TritonKernel, same_order
from ...kernels.triton.weight_layout import COLUMN_MULTIPLE
from ...util.types import TransformersModel
from .architectures import architecture_of
from .architectures.base import Architecture
from .module_snapshot import ModuleSnapshot


class CannotFuse(Exception):
    """Why a model decodes layer by layer, as half a sentence."""


@dataclass
class FusedLinear:
    """Linears with one input, side by side. `kernel` is that of the first; its sizes and constants are those of all."""

    kernel: TritonKernel
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    bias: torch.Tensor | None  # fp32
    input_scatter: (
        torch.Tensor | None
    )  # int32 [K]: the position of each input feature in the input that the kernels read
    outputs: int
    output_scatter: torch.Tensor | None = (
        None  # int32 [N]: the position of each output of forward_batch(); None: unchanged
    )

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """codes, scales, zeros of all linears."""
        return self.codes, self.scales, self.zeros

    def weight_args(self, outputs: int | None = None) -> tuple[Any, ...]:
        """TritonKernel.weight_args() of all linears; `outputs` in place of the number of their outputs."""
        return self.kernel.weight_args(self.tensors, outputs or self.outputs)

    @property
    def order(self) -> torch.Tensor | None:
        """int32 [K]: the input feature that each row belongs to."""
        return self.kernel.order

    def forward_batch(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, K], features in `order`, to [n, N of all]; through a dequantised copy where n is large."""
        if self.kernel.has_gemm(x):
            return self.kernel.gemm(x, self.tensors, self.outputs, self.bias, self.output_scatter)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if bias is not None and self.output_scatter is not None:
            bias = torch.empty_like(bias).index_copy_(0, self.output_scatter.long(), bias)
        return torch.nn.functional.linear(x, self._dequantised(x.dtype), bias)

    def add_batch_(self, hidden: torch.Tensor, x: torch.Tensor) -> None:
        """hidden [n, N] += forward_batch(x)."""
        if self.kernel.has_gemm(x):
            self.kernel.gemm(x, self.tensors, self.outputs, self.bias, add_to=hidden)
            return
        hidden.addmm_(x, self._dequantised(x.dtype).t())
        if self.bias is not None:
            hidden += self.bias.to(x.dtype)

    def _dequantised(self, dtype: torch.dtype) -> torch.Tensor:
        return self.kernel.dequantize(dtype, self.tensors, self.outputs, self.output_scatter)


@dataclass
class LayerPlan:
    """One decoder layer; norms [K], and those of queries and keys [head_dim], as the model holds them."""

    attention_norm: torch.Tensor
    qkv: FusedLinear
    out: FusedLinear
    mlp_norm: torch.Tensor
    gate_up: FusedLinear | None
    down: FusedLinear | None
    experts: nn.Module | None = None  # in place of both
    q_norm: torch.Tensor | None = None
    k_norm: torch.Tensor | None = None

    @property
    def has_head_norms(self) -> bool:
        return self.q_norm is not None

    @property
    def head_norms(self) -> tuple[torch.Tensor, torch.Tensor]:
        """q_norm and k_norm for a kernel's arguments; placeholders that are not read where there are none."""
        if self.q_norm is None or self.k_norm is None:
            return self.attention_norm, self.attention_norm
        return self.q_norm, self.k_norm

    @property
    def linears(self) -> list[FusedLinear]:
        return [linear for linear in (self.qkv, self.out, self.gate_up, self.down) if linear is not None]


@dataclass
class DecodePlan:
    """All that one step reads. Holds the model's tensors and lm_head, not the model."""

    layers: list[LayerPlan]
    embedding: torch.Tensor
    final_norm: torch.Tensor
    lm_head: nn.Module
    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    epsilon: float
    window: int  # tokens that attention looks back on; 0 for all
    cos: torch.Tensor  # fp32 [positions, head_dim], of the rotary embedding
    sin: torch.Tensor
    modules: ModuleSnapshot


def make_decode_plan(model: TransformersModel) -> DecodePlan:
    """Reads the model, and lets linears that share an input share one stretch of memory. Raises CannotFuse; the model then
    still computes what it did.
    """
    config = model.config
    body = getattr(model, 'model', None)
    layers: list[Any] = list(getattr(body, 'layers', ()))
    architecture = architecture_of(layers)
    if body is None or architecture is None:
        raise CannotFuse(f'there is no fused step for a {type(model).__name__}')
    if getattr(config, 'hidden_act', None) != architecture.activation:
        raise CannotFuse(f'its activation is {getattr(config, "hidden_act", None)}')
    if len({p.device for p in model.parameters()}) != 1:
        raise CannotFuse('it is spread over several devices')
    head_dim = getattr(config, 'head_dim', None) or config.hidden_size // config.num_attention_heads
    if head_dim < 16 or head_dim & (head_dim - 1):
        raise CannotFuse(f'its heads have {head_dim} dimensions, no power of two')
    cos, sin = _rotary_tables(body, head_dim, config)
    parents = [parent for layer in layers for parent in (layer, layer.self_attn, layer.mlp)]
    children = [child for parent in parents for child in parent.named_children()]
    if not all(isinstance(module, GPTQLinear) for name, module in children if name.endswith('_proj')):
        raise CannotFuse('some of its linears are not quantised')
    if any(getattr(module, 'chooses_on_cpu', False) for layer in layers for module in layer.modules()):
        raise CannotFuse('its experts are chosen on the CPU')
    return DecodePlan(
        layers=[_plan_layer(layer, architecture) for layer in layers],
        embedding=body.embed_tokens.weight,
        final_norm=body.norm.weight,
        lm_head=model.lm_head,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=head_dim,
        scale=getattr(layers[0].self_attn, 'scaling', head_dim**-0.5),
        epsilon=config.rms_norm_eps,
        window=_window(layers, config),
        cos=cos,
        sin=sin,
        modules=ModuleSnapshot(model),
    )


def _plan_layer(layer: Any, architecture: Architecture) -> LayerPlan:
    parts = architecture.parts(layer)
    gate_up = down = None
    if parts.mlp is not None:
        gate_up, down = _join(list(parts.mlp[:2])), _join(list(parts.mlp[2:]))
    elif not any(hasattr(module, 'chooses_on_cpu') for module in layer.modules()):
        raise CannotFuse("its experts are transformers' own")
    if gate_up is not None and down is not None and down.input_scatter is not None:
        # For a prompt their outputs come in the order in which `down` reads them.
        gate_up.output_scatter = torch.cat([down.input_scatter, down.input_scatter + len(down.input_scatter)])
    return LayerPlan(
        attention_norm=cast(torch.Tensor, parts.attention_norm.weight),
        qkv=_join([parts.q, parts.k, parts.v]),
        out=_join([parts.out]),
        mlp_norm=cast(torch.Tensor, parts.mlp_norm.weight),
        gate_up=gate_up,
        down=down,
        experts=parts.experts,
        q_norm=None if parts.q_norm is None else cast(torch.Tensor, parts.q_norm.weight),
        k_norm=None if parts.k_norm is None else cast(torch.Tensor, parts.k_norm.weight),
    )


def _join(modules: list[nn.Module]) -> FusedLinear:
    linears = [cast(GPTQLinear, module) for module in modules]
    kernels: list[Any] = [linear.kernel for linear in linears if isinstance(linear.kernel, TritonKernel)]
    if len(kernels) < len(linears):
        raise CannotFuse('some of its linears run on another kernel')
    first: Any = kernels[0]
    kinds = {
        (k.layout, k.bits, k.spec.in_features, k.spec.group_size, k.scales.dtype, k.zeros is None) for k in kernels
    }
    if len(kinds) > 1 or any(k.spec.out_features % COLUMN_MULTIPLE for k in kernels[:-1]):
        raise CannotFuse('its linears differ in width, groups or zeros')
    if not all(same_order(k.order, first.order) for k in kernels):
        raise CannotFuse('linears with one input order it differently')
    bias = None
    if any(linear.bias is not None for linear in linears):
        zeros = [torch.zeros(linear.out_features, device=first.codes.device) for linear in linears]
        bias = torch.cat([z if one.bias is None else one.bias.float() for z, one in zip(zeros, linears, strict=True)])
    codes, scales, zeros_ = (_share_memory(kernels, name) for name in ('codes', 'scales', 'zeros'))
    return FusedLinear(
        kernel=first,
        codes=cast(torch.Tensor, codes),
        scales=cast(torch.Tensor, scales),
        zeros=zeros_,
        bias=bias,
        input_scatter=None if first.order is None else torch.argsort(first.order).int(),
        outputs=sum(k.spec.out_features for k in kernels),
    )


def _share_memory(kernels: list[TritonKernel], name: str) -> torch.Tensor | None:
    """Makes a tensor [T, ...] of several kernels views of one, which is returned."""
    parts = [getattr(kernel, name) for kernel in kernels]
    if parts[0] is None or len(parts) == 1:
        return parts[0]
    joint = torch.cat(parts)
    for kernel, view in zip(kernels, joint.split([len(p) for p in parts]), strict=True):
        setattr(kernel, name, view)
    return joint


def _rotary_tables(body: Any, head_dim: int, config) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of the rotary embedding, fp32 [positions, head_dim], for every position that the config allows."""
    positions = torch.arange(config.max_position_embeddings, device=body.embed_tokens.weight.device)[None]
    like = torch.zeros(1, dtype=torch.float32, device=positions.device)
    rotary = getattr(body, 'rotary_emb', None)
    if rotary is None:
        raise CannotFuse('its rotary embedding is not a module of its body')
    cos, sin = rotary(like, positions)
    if cos.shape[-1] != head_dim:
        raise CannotFuse('it rotates a part of each head')
    return cos[0].float().contiguous(), sin[0].float().contiguous()


def _window(layers: list[nn.Module], config) -> int:
    if not getattr(config, 'use_sliding_window', True):
        return 0
    windows = {getattr(layer.self_attn, 'sliding_window', getattr(config, 'sliding_window', None)) for layer in layers}
    if len(windows) > 1:
        raise CannotFuse('its layers have different sliding windows')
    return windows.pop() or 0
