"""What a decoding step on a GPU needs of a model: its tensors, with linears that share an input made one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ...kernels.linear import GPTQLinear
from ...kernels.triton.kernel import TritonKernel
from ...kernels.triton.weight_layout import COLUMNS

# Decoder layers that compute as LLaMA's do.
_LAYERS = ('LlamaDecoderLayer', 'MistralDecoderLayer', 'Qwen2DecoderLayer')


class CannotPlan(Exception):
    """Why a model decodes as transformers runs it, as half a sentence."""


@dataclass
class Linear:
    """Linears with one input, side by side. `kernel` is that of the first; its sizes and constants are those of all."""

    kernel: TritonKernel
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    bias: torch.Tensor | None  # fp32
    place: torch.Tensor | None  # int32 [K]: where each input feature is to stand in the input
    outputs: int
    rows: torch.Tensor | None = None  # int32 [N]: where many() puts each output; where it is, if None

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """codes, scales, zeros, as the kernels take them."""
        return self.codes, self.scales, self.codes if self.zeros is None else self.zeros

    @property
    def order(self) -> torch.Tensor | None:
        """int32 [K]: the input feature that each row belongs to."""
        return self.kernel.order

    def many(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, K], features in `order`, to [n, N of all], through a dequantised copy."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if bias is not None and self.rows is not None:
            bias = torch.empty_like(bias).index_copy_(0, self.rows.long(), bias)
        return torch.nn.functional.linear(x, self._weight(x.dtype), bias)

    def add_many(self, hidden: torch.Tensor, x: torch.Tensor) -> None:
        """hidden [n, N] += many(x)."""
        hidden.addmm_(x, self._weight(x.dtype).t())
        if self.bias is not None:
            hidden += self.bias.to(x.dtype)

    def _weight(self, dtype: torch.dtype) -> torch.Tensor:
        return self.kernel.dequantise(dtype, self.tensors, self.outputs, self.rows)


@dataclass
class Layer:
    """One decoder layer; norms [K] as the model holds them."""

    first_norm: torch.Tensor
    qkv: Linear
    out: Linear
    second_norm: torch.Tensor
    gate_up: Linear
    down: Linear


@dataclass
class Plan:
    """All that one step reads. `owned` are (parent, name, module) that must stand where they stood."""

    layers: list[Layer]
    embedding: torch.Tensor
    last_norm: torch.Tensor
    head: nn.Module
    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    epsilon: float
    window: int
    cosine: torch.Tensor  # fp32 [positions, head_dim]
    sine: torch.Tensor
    owned: list[tuple[nn.Module, str, nn.Module]]

    @property
    def is_intact(self) -> bool:
        """Whether nobody put another module, as a LoRA's, in the place of one of ours, or a hook onto one."""
        return all(
            parent._modules.get(name) is module
            and (module is self.head or not (module._forward_hooks or module._forward_pre_hooks))  # the head is called
            for parent, name, module in self.owned
        )


def make_plan(model: nn.Module) -> Plan:
    """Reads the model, and lets linears that share an input share one stretch of memory. Raises CannotPlan, which leaves
    the model as right as it was.
    """
    config = model.config
    body = getattr(model, 'model', None)
    layers = list(getattr(body, 'layers', ()))
    if not layers or any(type(layer).__name__ not in _LAYERS for layer in layers):
        raise CannotPlan(f'a {type(model).__name__} is none of those whose step can be fused')
    if getattr(config, 'hidden_act', None) != 'silu':
        raise CannotPlan(f'its activation is {getattr(config, "hidden_act", None)}')
    if len({p.device for p in model.parameters()}) != 1:
        raise CannotPlan('it is spread over several devices')
    attention = layers[0].self_attn
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    head_dim = getattr(config, 'head_dim', None) or config.hidden_size // heads
    if head_dim < 16 or head_dim & (head_dim - 1):
        raise CannotPlan(f'its heads have {head_dim} dimensions, no power of two')
    cosine, sine = _angles(body, head_dim, config)
    owned: list[tuple[nn.Module, str, nn.Module]] = [(model, 'lm_head', model.lm_head), (body, 'norm', body.norm)]
    owned += [(body, 'embed_tokens', body.embed_tokens)]
    for layer in layers:
        for parent in (layer, layer.self_attn, layer.mlp):
            owned += [(parent, name, module) for name, module in parent.named_children()]
    if not all(isinstance(m, GPTQLinear) for _, name, m in owned if name.endswith('_proj')):
        raise CannotPlan('some of its linears are not quantised')
    return Plan(
        [_layer(layer) for layer in layers],
        body.embed_tokens.weight,
        body.norm.weight,
        model.lm_head,
        heads,
        kv_heads,
        head_dim,
        getattr(attention, 'scaling', head_dim**-0.5),
        config.rms_norm_eps,
        _window(layers, config),
        cosine,
        sine,
        owned,
    )


def _layer(layer: nn.Module) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    gate_up, down = _join([mlp.gate_proj, mlp.up_proj]), _join([mlp.down_proj])
    if down.place is not None:  # in a prompt their outputs come in the order in which they are read
        gate_up.rows = torch.cat([down.place, down.place + len(down.place)])
    return Layer(
        layer.input_layernorm.weight,
        _join([attention.q_proj, attention.k_proj, attention.v_proj]),
        _join([attention.o_proj]),
        layer.post_attention_layernorm.weight,
        gate_up,
        down,
    )


def _join(linears: list[GPTQLinear]) -> Linear:
    kernels = [linear.kernel for linear in linears]
    first = kernels[0]
    if not all(isinstance(kernel, TritonKernel) for kernel in kernels):
        raise CannotPlan('some of its linears run on another kernel')
    shapes = {(k.form, k.bits, k.spec.in_features, k.spec.group_size, k.scales.dtype, k.zeros is None) for k in kernels}
    if len(shapes) > 1 or any(k.spec.out_features % COLUMNS for k in kernels[:-1]):
        raise CannotPlan('its linears differ in width, groups or zeros')
    if any((k.order is None) != (first.order is None) for k in kernels) or any(
        first.order is not None and not torch.equal(k.order, first.order) for k in kernels
    ):
        raise CannotPlan('linears with one input order it differently')
    place = None if first.order is None else torch.argsort(first.order).int()
    bias = None
    if any(linear.bias is not None for linear in linears):
        parts = [_zeros_like_outputs(one) if one.bias is None else one.bias.float() for one in linears]
        bias = torch.cat(parts)
    joint = {name: _share(kernels, name) for name in ('codes', 'scales', 'zeros')}
    return Linear(first, **joint, bias=bias, place=place, outputs=sum(k.spec.out_features for k in kernels))


def _zeros_like_outputs(linear: GPTQLinear) -> torch.Tensor:
    return torch.zeros(linear.out_features, device=linear.kernel.codes.device)


def _share(kernels: list[TritonKernel], name: str) -> torch.Tensor | None:
    """Makes a tensor [T, ...] of several kernels views of one, and gives that."""
    parts = [getattr(kernel, name) for kernel in kernels]
    if parts[0] is None or len(parts) == 1:
        return parts[0]
    joint = torch.cat(parts)
    for kernel, view in zip(kernels, joint.split([len(p) for p in parts]), strict=True):
        setattr(kernel, name, view)
    return joint


def _angles(body: nn.Module, head_dim: int, config) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of the rotary embedding for every position that the config allows."""
    positions = torch.arange(config.max_position_embeddings, device=body.embed_tokens.weight.device)[None]
    like = torch.zeros(1, dtype=torch.float32, device=positions.device)
    rotary = getattr(body, 'rotary_emb', None)
    if rotary is None:
        raise CannotPlan('its rotary embedding is not where it is looked for')
    cosine, sine = rotary(like, positions)
    if cosine.shape[-1] != head_dim:
        raise CannotPlan('it rotates a part of each head')
    return cosine[0].float().contiguous(), sine[0].float().contiguous()


def _window(layers: list[nn.Module], config) -> int:
    if not getattr(config, 'use_sliding_window', True):
        return 0
    kinds = {getattr(layer.self_attn, 'sliding_window', getattr(config, 'sliding_window', None)) for layer in layers}
    if len(kinds) > 1:
        raise CannotPlan('its layers look back differently far')
    return kinds.pop() or 0
