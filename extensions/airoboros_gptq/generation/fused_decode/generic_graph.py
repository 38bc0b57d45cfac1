"""The forward pass of any model of transformers over one new token, captured as one CUDA graph.

What is captured is transformers' own forward(), but for two things: keys and values go to a KV cache that grows in place and is
found through a table of addresses, and attention reads them from there (generic_attention.py). So one graph serves every
conversation and every length, and is captured once.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ...util.types import TransformersModel
from ..kv_cache import IS_SUPPORTED, cache_name
from .captured_graph import CapturedGraph
from .generic_attention import DecodeAttention

_NAME = 'airoboros_gptq_graph'


class CannotCapture(Exception):
    """Why a model's forward pass is not captured, as half a sentence."""


class _PassThroughLayer(DynamicLayer):
    """Hands the new token's keys and values on to the attention function, which writes them to the cache."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        return key_states, value_states

    def get_seq_length(self, *args, **kwargs) -> int:
        return 0


class GenericGraph(CapturedGraph):
    """One token through a model, on a cache that it is attached to. Holds no reference that keeps the model alive."""

    def __init__(self, model: TransformersModel):
        """Raises CannotCapture."""
        config = model.config.get_text_config(decoder=True)
        if not IS_SUPPORTED:
            raise CannotCapture('transformers before 4.54 has no caches of layers')
        self._model = weakref.ref(model)
        device = _device(model)
        if not getattr(model, '_supports_attention_backend', False):
            raise CannotCapture(f'the attention of a {type(model).__name__} cannot be replaced')
        if any(getattr(m, 'chooses_on_cpu', False) for m in model.modules()):
            raise CannotCapture('its experts are chosen on the CPU')
        self._attention = DecodeAttention(config.num_hidden_layers, device)
        what = "decoding runs transformers' forward"
        super().__init__(what, self._attention.state, self._attention.addresses)
        with torch.inference_mode(False):  # written to in any mode
            self._token = torch.zeros(1, 1, dtype=torch.int64, device=device)
            self._position = self.state[:1].view(1, 1)
        self._cache = DynamicCache()
        self._cache.layers = [_PassThroughLayer() for _ in range(config.num_hidden_layers)]

    def run(self, token: torch.Tensor) -> torch.Tensor:
        """Logits [1, 1, vocabulary] after `token` [1, 1], in a buffer; its keys and values are written to the cache."""
        self._token.copy_(token)
        return self.replay()

    def _launch(self) -> torch.Tensor:
        model = self._model()
        assert model is not None
        with _attention_function(model, self._attention):
            out = plain_forward(model)(
                model,
                input_ids=self._token,
                position_ids=self._position,
                **{cache_name(type(model)): self._cache},
                use_cache=True,
                return_dict=True,
            )
        self.state[:1].add_(1)
        return out.logits


def plain_forward(model: TransformersModel):
    """forward() of the model's class as transformers has it, without a runtime around it."""
    return getattr(type(model), '_transformers_class', type(model)).forward


def _device(model: TransformersModel) -> torch.device:
    devices = {p.device for p in model.parameters()} | {b.device for b in model.buffers()}
    if len(devices) != 1:
        raise CannotCapture('it is spread over several devices')
    return devices.pop()


@contextlib.contextmanager
def _attention_function(model: TransformersModel, function: DecodeAttention) -> Iterator[None]:
    """Lets a model's layers call `function`. No mask function goes by its name, so transformers makes no mask."""
    configs = {id(c): c for m in model.modules() if (c := getattr(m, 'config', None)) is not None}.values()
    before = [(config, config._attn_implementation) for config in configs if hasattr(config, '_attn_implementation')]
    ALL_ATTENTION_FUNCTIONS.register(_NAME, function)
    try:
        for config, _ in before:
            config._attn_implementation = _NAME
        yield
    finally:
        for config, name in before:
            config._attn_implementation = name
