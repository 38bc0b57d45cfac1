"""The memory that a model needs, told before it is loaded. Standard library alone, so a menu need not wait for torch.

Counted are the weights as they will be in memory, and the KV cache at a given context. What a forward pass needs for a
moment, and what Python and PyTorch take for themselves, come on top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..checkpoint.hf_config import ModelFacts
from ..checkpoint.linear_spec import TENSOR_PARTS, LinearSpec
from ..checkpoint.tensor_info import TensorInfo, tensor_bytes
from ..kernels.rules import DTYPE_BYTES, default_dtype, rule_for, target_of
from ..util.formatting import format_bytes
from .devices import default_device, free_memory

DEFAULT_CONTEXT = 2048
_FLOATS = ('F64', 'F32', 'F16', 'BF16')
_LM_HEADS = ('lm_head.weight', 'embed_out.weight')
_EMBEDDINGS = ('embed_tokens.weight', 'wte.weight', 'word_embeddings.weight', 'embed_in.weight')


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that loading will need, and where. None is for what is not known."""

    weights: int
    cache: int | None
    context: int
    device: str
    kernels: tuple[str, ...]
    dtype: str
    free: int | None

    @property
    def total(self) -> int | None:
        return None if self.cache is None else self.weights + self.cache

    @property
    def fits(self) -> bool | None:
        """Whether weights and cache go into what is free. Weights that do not are answer enough."""
        if self.free is None:
            return None
        if self.total is None:
            return False if self.weights > self.free else None
        return self.total <= self.free

    @property
    def source(self) -> str:
        return f'estimated for {", ".join(self.kernels)} on {self.device}'

    @property
    def place(self) -> str:
        """What `free` is a part of: 'RAM', or 'memory of cuda:0'."""
        return 'RAM' if self.device == 'cpu' else f'memory of {self.device}'

    @property
    def needed(self) -> int:
        """The total, or as much of it as is known."""
        return self.weights if self.total is None else self.total

    def as_lines(self) -> list[tuple[str, str, str]]:
        """Name, value and source of each line about memory, for a person."""
        free = '' if self.free is None else f', {format_bytes(self.free)} free'
        fits = {True: f'yes{free}', False: f'no{free}', None: f'unknown{free}'}[self.fits]
        return [
            ('weights', format_bytes(self.weights), self.source),
            (f'cache at {self.context}', _size(self.cache), f'config.json, in {self.dtype}'),
            ('total', _size(self.total), self.source),
            ('fits', fits, f'{self.place} that is free now'),
        ]


def estimate_memory(
    tensors: Mapping[str, TensorInfo],
    specs: Mapping[str, LinearSpec],
    model: ModelFacts,
    context: int | None = None,
    device: str | None = None,
    kernel: str = 'auto',
) -> MemoryEstimate:
    """What a checkpoint's `tensors` will need, with the linears of `specs`, in a `model` of which config.json says so much, and
    `context` tokens, 2048 by default. `device` defaults to the one that load() takes.
    """
    device = device or default_device()
    free = free_memory(device)
    stored = _stored_sizes(tensors, specs, model.has_tied_head)
    target = target_of(device)
    rule_of = {spec: rule_for(kernel, spec, target) for spec in set(specs.values())}
    first = rule_of[next(iter(specs.values()))]  # by the first linear, as load() decides
    dtype = default_dtype(first, target, model.dtype)
    item = DTYPE_BYTES[dtype]
    linears = sum(rule_of[spec].weight_bytes(spec, stored.packed[module]) for module, spec in specs.items())
    context = context or DEFAULT_CONTEXT
    per_token = model.kv_elements_per_token
    return MemoryEstimate(
        weights=linears + stored.floats * item + stored.others,
        cache=None if per_token is None else per_token * context * item,
        context=context,
        device=device,
        kernels=tuple(sorted({rule.name for rule in rule_of.values()})),
        dtype=dtype,
        free=free,
    )


@dataclass(frozen=True)
class _StoredSizes:
    """What a file holds, by what becomes of it in memory."""

    packed: dict[
        str, int
    ]  # bytes of the packed tensors of each quantised linear, which its kernel stores in its own way
    floats: int  # numbers that are cast to the dtype of the model: embeddings, norms, biases
    others: int  # bytes that stay as they are


def _stored_sizes(
    tensors: Mapping[str, TensorInfo], specs: Mapping[str, LinearSpec], has_tied_head: bool
) -> _StoredSizes:
    packed, floats, others = dict.fromkeys(specs, 0), 0, 0
    twice = _lm_head_stored_twice(tensors) if has_tied_head else None
    for name, info in tensors.items():
        module, _, part = name.rpartition('.')
        if module in specs and part != 'bias':
            packed[module] += tensor_bytes(info) if part in TENSOR_PARTS else 0
        elif name == twice or _is_computed(name, info):
            continue
        elif info.dtype in _FLOATS:
            floats += math.prod(info.shape)
        else:
            others += tensor_bytes(info)
    return _StoredSizes(packed, floats, others)


def _lm_head_stored_twice(tensors: Mapping[str, TensorInfo]) -> str | None:
    """The name of an lm_head that the file holds beside the embeddings, with which the model shares it."""
    shapes = {info.shape for name, info in tensors.items() if name.endswith(_EMBEDDINGS)}
    head = next((name for name in tensors if name.endswith(_LM_HEADS)), None)
    return head if head is not None and tensors[head].shape in shapes else None


def _is_computed(name: str, info: TensorInfo) -> bool:
    """Rotary tables and attention masks, which files of 2023 hold and transformers computes by itself."""
    return name.endswith(('.inv_freq', '.masked_bias')) or (name.endswith('.bias') and len(info.shape) == 4)


def _size(count: int | None) -> str:
    return 'unknown' if count is None else format_bytes(count)
