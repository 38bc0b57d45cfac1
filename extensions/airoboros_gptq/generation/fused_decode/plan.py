"""What a fused decode step needs of a model: its tensors, with linears that share an input joined into one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from ...kernels.linear import GPTQLinear
from ...kernels.triton.weight_layout import COLUMN_MULTIPLE
from ...util.types import TransformersModel
from .architectures import architecture_of
from .architectures.base import Architecture, Scales
from .fused_linear import CannotFuse, FusedLinear, join_linears
from .module_snapshot import ModuleSnapshot
from .rotary_tables import RotaryTables


@dataclass
class LayerPlan:
    """One decoder layer; norms [K], and those of queries and keys [head_dim], by which a kernel multiplies."""

    attention_norm: torch.Tensor
    qkv: FusedLinear
    out: FusedLinear
    mlp_norm: torch.Tensor
    gate_up: FusedLinear | None
    down: FusedLinear | None
    rotary: tuple[torch.Tensor, torch.Tensor]  # cosine and sine of the rotary embedding, fp32 [positions, head_dim]
    window: int  # tokens that attention looks back on; 0 for all
    experts: nn.Module | None = None  # in place of both
    q_norm: torch.Tensor | None = None
    k_norm: torch.Tensor | None = None
    attention_post_norm: torch.Tensor | None = None
    mlp_post_norm: torch.Tensor | None = None

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
    softcap: float  # of attention's scores; 0 for none
    epsilon: float
    activation: str
    scales: Scales
    modules: ModuleSnapshot

    @property
    def positions(self) -> int:
        """How many the rotary embedding has."""
        return len(self.layers[0].rotary[0])

    @property
    def attends_to_all(self) -> bool:
        """Whether scaled_dot_product_attention can compute its attention without a mask."""
        return not self.softcap and not any(layer.window for layer in self.layers)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[1, n, vocabulary] of normed hidden states [1, n, K]."""
        logits: torch.Tensor = self.lm_head(hidden)
        if self.scales.logits_divisor != 1:
            logits = logits / self.scales.logits_divisor
        if self.scales.logits_softcap:
            logits = torch.tanh(logits / self.scales.logits_softcap) * self.scales.logits_softcap
        return logits


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
    activation = getattr(config, 'hidden_activation', None) or getattr(config, 'hidden_act', None)
    if activation != architecture.activation:
        raise CannotFuse(f'its activation is {activation}')
    if getattr(config, 'use_bidirectional_attention', False):
        raise CannotFuse('its attention looks ahead')
    if len({p.device for p in model.parameters()}) != 1:
        raise CannotFuse('it is spread over several devices')
    head_dim = getattr(config, 'head_dim', None) or config.hidden_size // config.num_attention_heads
    if not 16 <= head_dim <= 256 or head_dim % 8:
        raise CannotFuse(f'its heads have {head_dim} dimensions')
    rotary = RotaryTables(body, head_dim, config)
    parents = [parent for layer in layers for parent in (layer, layer.self_attn, layer.mlp)]
    children = [child for parent in parents for child in parent.named_children()]
    if not all(isinstance(module, GPTQLinear) for name, module in children if name.endswith('_proj')):
        raise CannotFuse('some of its linears are not quantised')
    if any(getattr(module, 'chooses_on_cpu', False) for layer in layers for module in layer.modules()):
        raise CannotFuse('its experts are chosen on the CPU')
    return DecodePlan(
        layers=[_plan_layer(layer, architecture, rotary.of(layer), _window(layer, config)) for layer in layers],
        embedding=body.embed_tokens.weight,
        final_norm=_norm(body.norm, architecture),
        lm_head=model.lm_head,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=head_dim,
        scale=getattr(layers[0].self_attn, 'scaling', head_dim**-0.5),
        softcap=getattr(layers[0].self_attn, 'attn_logit_softcapping', None) or 0.0,
        epsilon=config.rms_norm_eps,
        activation=architecture.activation,
        scales=architecture.scales(config, body.embed_tokens.weight.dtype),
        modules=ModuleSnapshot(model),
    )


def _plan_layer(
    layer: Any, architecture: Architecture, rotary: tuple[torch.Tensor, torch.Tensor], window: int
) -> LayerPlan:
    parts = architecture.parts(layer)
    gate_up = down = None
    if parts.gate_up is not None and parts.down is not None:
        gate_up, down = join_linears(*parts.gate_up), join_linears(parts.down)
        if gate_up.outputs // 2 % COLUMN_MULTIPLE:
            raise CannotFuse('gate and up lie in one linear, at a width that cannot be halved')
    elif not any(hasattr(module, 'chooses_on_cpu') for module in layer.modules()):
        raise CannotFuse("its experts are transformers' own")
    if gate_up is not None and down is not None and down.input_scatter is not None:
        # For a prompt their outputs come in the order in which `down` reads them.
        gate_up.output_scatter = torch.cat([down.input_scatter, down.input_scatter + len(down.input_scatter)])
    return LayerPlan(
        attention_norm=_norm(parts.attention_norm, architecture),
        qkv=join_linears(*parts.qkv),
        out=join_linears(parts.out),
        mlp_norm=_norm(parts.mlp_norm, architecture),
        gate_up=gate_up,
        down=down,
        rotary=rotary,
        window=window,
        experts=parts.experts,
        **{
            name: None if (norm := getattr(parts, name)) is None else _norm(norm, architecture)
            for name in ('q_norm', 'k_norm', 'attention_post_norm', 'mlp_post_norm')
        },
    )


def _norm(module: nn.Module, architecture: Architecture) -> torch.Tensor:
    weight = cast(torch.Tensor, module.weight)
    return weight if architecture.norm_offset == 0 else weight.float() + architecture.norm_offset


def _window(layer: Any, config: Any) -> int:
    if not getattr(config, 'use_sliding_window', True):
        return 0
    return getattr(layer.self_attn, 'sliding_window', getattr(config, 'sliding_window', None)) or 0
