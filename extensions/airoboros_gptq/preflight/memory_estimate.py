"""What loading a model will need, before it is loaded. Standard library alone, so a menu need not wait for torch.

Counted are the weights as they will stand in memory, and the KV cache at a given context. What a forward pass needs
for a moment, and what Python and PyTorch take for themselves, come on top.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..checkpoint.hf_config import (
    ATTENTION_HEADS_KEYS,
    HIDDEN_SIZE_KEYS,
    KV_HEADS_KEYS,
    LAYERS_KEYS,
    HFConfig,
    first_positive,
    text_config,
)
from ..checkpoint.linear_spec import LinearSpec
from ..checkpoint.tensor_info import TensorInfo, tensor_bytes
from ..kernels.rules import DTYPE_BYTES, KernelRule, rule_for, target_of
from ..util.formatting import format_bytes
from ..util.host import free_ram

DEFAULT_CONTEXT = 2048
_FLOATS = ('F64', 'F32', 'F16', 'BF16')
_PARTS = ('qweight', 'qzeros', 'scales', 'g_idx')
_HEADS = ('lm_head.weight', 'embed_out.weight')
_EMBEDDINGS = ('embed_tokens.weight', 'wte.weight', 'word_embeddings.weight', 'embed_in.weight')
# Whose configs need not say that head and embeddings are one.
_TIED_BY_DEFAULT = ('gemma', 'gemma2', 'gemma3_text', 'opt', 'falcon', 'gpt_bigcode', 'gpt2', 'bloom', 'mpt')


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

    def as_lines(self) -> list[tuple[str, str, str]]:
        """Name, value and source of each line about memory, for a person."""
        free = '' if self.free is None else f', {format_bytes(self.free)} free'
        fits = {True: f'yes{free}', False: f'no{free}', None: f'unknown{free}'}[self.fits]
        return [
            ('weights', format_bytes(self.weights), self.source),
            (f'cache at {self.context}', _size(self.cache), f'config.json, in {self.dtype}'),
            ('total', _size(self.total), self.source),
            ('fits', fits, f'the memory of {self.device} now'),
        ]


def estimate_memory(
    tensors: Mapping[str, TensorInfo],
    specs: Mapping[str, LinearSpec],
    hf_config: HFConfig,
    context: int | None = None,
    device: str | None = None,
    kernel: str = 'auto',
) -> MemoryEstimate:
    """What a checkpoint's `tensors` will need, with the linears of `specs`, `config.json` as it stands, and `context`
    tokens, 2048 by default. `device` defaults to the one that load() takes.
    """
    device = device or default_device()
    target = target_of(device)
    rule_of = {spec: rule_for(kernel, spec, target) for spec in set(specs.values())}
    rules = {module: rule_of[spec] for module, spec in specs.items()}
    dtype = next(iter(rules.values())).compute_dtype(target.device_type)  # as build_model decides: by the first linear
    item = DTYPE_BYTES[dtype]
    weights = sum(_linear_bytes(m, spec, rules[m], tensors, item) for m, spec in specs.items())
    weights += _other_bytes(tensors, specs, hf_config, item)
    context = context or DEFAULT_CONTEXT
    per_token = kv_elements_per_token(hf_config)
    cache = None if per_token is None else per_token * context * item
    return MemoryEstimate(
        weights,
        cache,
        context,
        device,
        tuple(sorted({rule.name for rule in rules.values()})),
        dtype,
        free_memory(device),
    )


def _size(count: int | None) -> str:
    return 'unknown' if count is None else format_bytes(count)


def _linear_bytes(module: str, spec: LinearSpec, rule: KernelRule, tensors: Mapping[str, TensorInfo], item: int) -> int:
    packed_bytes = sum(tensor_bytes(tensors[f'{module}.{p}']) for p in _PARTS if f'{module}.{p}' in tensors)
    bias = spec.out_features * item if f'{module}.bias' in tensors else 0
    return bias + rule.weight_bytes(spec, packed_bytes)


def _other_bytes(
    tensors: Mapping[str, TensorInfo], specs: Mapping[str, LinearSpec], hf_config: HFConfig, item: int
) -> int:
    """Embeddings, norms and what else was not quantised: floats are cast to the dtype of the model."""
    others = {n: t for n, t in tensors.items() if n.rpartition('.')[0] not in specs and not _is_computed(n, t)}
    tied = hf_config.get('tie_word_embeddings', hf_config.get('model_type') in _TIED_BY_DEFAULT)
    head = next((n for n in others if n.endswith(_HEADS)), None)
    if tied and head and any(n.endswith(_EMBEDDINGS) and t.shape == others[head].shape for n, t in others.items()):
        del others[head]  # the file holds twice what the model holds once
    return sum(math.prod(t.shape) * item if t.dtype in _FLOATS else tensor_bytes(t) for t in others.values())


def _is_computed(name: str, info: TensorInfo) -> bool:
    """Rotary tables and attention masks, which files of 2023 carry and transformers computes by itself."""
    return name.endswith(('.inv_freq', '.masked_bias')) or (name.endswith('.bias') and len(info.shape) == 4)


def kv_elements_per_token(config: HFConfig) -> int | None:
    """Numbers that the KV cache holds for one token: keys and values of all layers; None where config.json does not say.

    Sliding windows are not counted: where layers look back no further than a window, a long cache is smaller.
    """
    config = text_config(config)
    layers, heads = first_positive(config, LAYERS_KEYS), first_positive(config, ATTENTION_HEADS_KEYS)
    hidden, head_dim = first_positive(config, HIDDEN_SIZE_KEYS), first_positive(config, ('head_dim',))
    if head_dim is None and hidden and heads:
        head_dim = hidden // heads
    if not (layers and heads and head_dim):
        return None
    return 2 * layers * _kv_heads(config, heads) * head_dim


def _kv_heads(config: HFConfig, heads: int) -> int:
    if config.get('new_decoder_architecture'):  # Falcon 40B shares heads, but caches them spread out
        return heads
    # One head for all: a flag of Falcon's and GPT-BigCode's, true where it is not written.
    if config.get('multi_query', config.get('model_type') in ('falcon', 'gpt_bigcode')):
        return 1
    if config.get('model_type') == 'falcon':
        return heads
    return first_positive(config, KV_HEADS_KEYS) or heads


def default_device() -> str:
    """The device that load() takes: asked of torch where it is imported already, else guessed from the driver."""
    torch: Any = sys.modules.get('torch')
    if torch is not None:
        with contextlib.suppress(Exception):  # load() raises the sentence for a broken driver
            return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    if os.environ.get('CUDA_VISIBLE_DEVICES', '0') in ('', '-1') or _torch_is_for_cpus():
        return 'cpu'
    driver = Path(os.environ.get('SYSTEMROOT', 'C:\\Windows'), 'System32', 'nvcuda.dll')
    return 'cuda:0' if Path('/dev/nvidiactl').exists() or driver.exists() else 'cpu'


def _torch_is_for_cpus() -> bool:
    try:
        return version('torch').endswith('+cpu')
    except PackageNotFoundError:
        return False


def free_memory(device: str) -> int | None:
    """Bytes that can be had on `device` now; None where that is not known, as of a GPU before torch is imported."""
    kind = device.partition(':')[0]
    torch: Any = sys.modules.get('torch')
    if kind == 'cuda' and torch is not None:
        with contextlib.suppress(Exception):
            # What PyTorch has reserved and does not use can be had too.
            return int(torch.cuda.mem_get_info(device)[0]) + _idle_in_pytorch(torch, device)
    return free_ram() if kind == 'cpu' else None


def _idle_in_pytorch(torch: Any, device: str) -> int:
    return int(torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
