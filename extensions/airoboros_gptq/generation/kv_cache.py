"""KV caches that grow in place and can be cut back, for one sequence.

transformers' DynamicCache concatenates the whole cache for every token: at 1,500 tokens of a 7B that copies 0.8 GB per token.
Here each layer has capacity for the next tokens, writes them in place and hands out views.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import torch
from transformers import DynamicCache, cache_utils

from ..util.types import TransformersModel

CHUNK = 256  # tokens by which the capacity grows
IS_SUPPORTED = hasattr(cache_utils, 'DynamicLayer')  # caches consist of layers since transformers 4.54
# Rotary tables that change with the length of the text: keys computed for a long text are wrong for a short one.
_ROPE_BY_LENGTH = ('dynamic', 'longrope', 'su')


def make_cache(model: TransformersModel, max_length: int | None = None) -> GrowingCache | None:
    """An empty transformers Cache for one sequence, to be passed as cache_name(). `max_length` is a hint, in tokens.

    None where transformers' own cache serves better: transformers before 4.54, encoder-decoders, recurrent and chunked
    attention, caches that are tuples, rotary tables that follow the length of the text.
    """
    layers = _plain_layers(model) if IS_SUPPORTED else None
    return None if layers is None else GrowingCache(layers, max_length or 0)


def cache_name(model_class: Any) -> str:
    """What forward() and generate() of a model class call their cache: 'past_key_values', 'cache' since transformers 5.24."""
    return _cache_name(model_class)


@lru_cache
def _cache_name(model_class: Any) -> str:
    return 'cache' if 'cache' in inspect.signature(model_class.forward).parameters else 'past_key_values'


def cached_length(cache) -> int:
    """The tokens that every layer holds: an exception during a forward pass leaves the first layers one step ahead."""
    return cache.length if isinstance(cache, GrowingCache) else cache.get_seq_length()


def crop_to(cache, length: int) -> None:
    """Cuts every layer to its first `length` tokens; each holds at least that many."""
    if isinstance(cache, GrowingCache):
        cache.crop_to(length)
    elif (surplus := cache.get_seq_length() - length) > 0:
        cache.crop(-surplus)  # what a positive number means differs between versions of transformers


def _plain_layers(model) -> int | None:
    """The number of layers, where each keeps keys and values of all tokens and nothing else; None for any other model.

    Layers with a sliding window count as plain: the mask hides what lies before the window.
    """
    config = model.config.get_text_config(decoder=True)
    if model.config.is_encoder_decoder or not type(model).__module__.startswith('transformers.'):
        return None
    if config is not model.config and 'cache_position' in inspect.signature(type(model).forward).parameters:
        return None  # before transformers 5 a model that also sees counts its positions from what generate() hands over
    if getattr(config, 'attention_chunk_size', None) or not model._supports_default_dynamic_cache():
        return None
    if _rope_follows_length(getattr(config, 'rope_scaling', None) or getattr(config, 'rope_parameters', None)):
        return None
    try:
        default_layers = DynamicCache(config=config).layers
    except TypeError:  # transformers 4.54 and 4.55 do not take the config
        return config.num_hidden_layers
    plain = (cache_utils.DynamicLayer, getattr(cache_utils, 'DynamicSlidingWindowLayer', None))
    all_plain = len(default_layers) == config.num_hidden_layers and all(
        type(layer) in plain for layer in default_layers
    )
    return len(default_layers) if all_plain else None


def _rope_follows_length(settings) -> bool:
    if not isinstance(settings, dict):
        return False
    kinds = (settings.get('rope_type'), settings.get('type'))  # newer and older name
    return any(k in _ROPE_BY_LENGTH for k in kinds) or any(map(_rope_follows_length, settings.values()))


class KVBuffer:
    """Keys and values of one layer, [1, heads, capacity, head_dim] each; the tokens in use come first."""

    def __init__(self, min_capacity: int = 0):
        """`min_capacity` is the capacity to begin with: each time it is outgrown, everything is copied."""
        self.min_capacity = min_capacity
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None

    def append(self, length: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes new tokens [1, heads, n, head_dim] behind the first `length`; returns views of all of them."""
        new = keys.shape[2]
        if self.keys is None or self.values is None or length + new > self.keys.shape[2]:
            self.keys = _grown(self.keys, length, keys, self.min_capacity)
            self.values = _grown(self.values, length, values, self.min_capacity)
        self.keys.narrow(2, length, new).copy_(keys)
        self.values.narrow(2, length, new).copy_(values)
        return self.keys.narrow(2, 0, length + new), self.values.narrow(2, 0, length + new)

    def reserve(self, length: int, tokens: int) -> bool:
        """Makes room for `tokens` in all, of which `length` are there; returns whether the buffer moved."""
        if self.keys is None or self.values is None or tokens <= self.keys.shape[2]:
            return False
        self.keys, self.values = (
            _grown(old, length, old[:, :, :1].expand(-1, -1, tokens - length, -1)) for old in (self.keys, self.values)
        )
        return True

    def fork(self, length: int) -> KVBuffer:
        """A copy of the first `length` tokens."""
        copy = KVBuffer()
        if self.keys is not None and self.values is not None:
            copy.keys = _grown(self.keys, length, self.keys.narrow(2, 0, 0))
            copy.values = _grown(self.values, length, self.values.narrow(2, 0, 0))
        return copy

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in (self.keys, self.values) if t is not None)


def _grown(old: torch.Tensor | None, length: int, new: torch.Tensor, min_capacity: int = 0) -> torch.Tensor:
    """Capacity for `length` tokens of `old`, which are copied, and those of `new`, which are not."""
    batch, heads, count, size = new.shape
    capacity = -(-max(length + count + 1, min_capacity) // CHUNK) * CHUNK
    # An inference tensor could not be written to by a later turn that runs under no_grad.
    with torch.inference_mode(False):
        grown = torch.empty((batch, heads, capacity, size), dtype=new.dtype, device=new.device)
    if old is not None and length:
        grown.narrow(2, 0, length).copy_(old.narrow(2, 0, length))
    return grown


class _GrowingLayer(cache_utils.DynamicLayer if IS_SUPPORTED else object):  # type: ignore[misc]
    """`keys` and `values` are views, where transformers' layer has tensors, so that its other methods work on them."""

    keys: torch.Tensor | None
    values: torch.Tensor | None
    is_initialized: bool

    def __init__(self, min_capacity: int = 0):
        super().__init__()
        self.buffer = KVBuffer(min_capacity)
        self._last_view: torch.Tensor | None = None  # `keys` as this class left them

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        """key_states, value_states [batch, heads, n, head_dim] to views of all tokens."""
        length = self.length
        if not self.is_initialized:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
        elif self.keys is not self._last_view:  # reordered, repeated or moved by a method of transformers
            self.buffer = KVBuffer()
            self.buffer.keys, self.buffer.values = self.keys, self.values
        self.keys, self.values = self.buffer.append(length, key_states, value_states)
        self._last_view = self.keys
        return self.keys, self.values

    @property
    def length(self) -> int:
        """Tokens held."""
        if not self.is_initialized or self.keys is None or self.values is None:
            return 0
        return min(self.keys.shape[2], self.values.shape[2])

    def crop(self, *args, **kwargs) -> None:
        """As transformers' own; the capacity stays."""
        untouched = self.keys is self._last_view
        super().crop(*args, **kwargs)
        self._last_view = self.keys if untouched else None

    def crop_to(self, length: int) -> None:
        """Keeps the first `length` tokens, or takes in those that were written to the buffer from outside."""
        keys, values = self.buffer.keys, self.buffer.values
        if keys is not None and values is not None and self.keys is self._last_view:
            self.keys, self.values = keys.narrow(2, 0, length), values.narrow(2, 0, length)
            self._last_view = self.keys

    def fork(self, length: int) -> _GrowingLayer:
        copy = _GrowingLayer()
        copy.dtype, copy.device, copy.is_initialized = self.dtype, self.device, True
        copy.buffer = self.buffer.fork(length)
        if copy.buffer.keys is not None and copy.buffer.values is not None:
            copy.keys = copy._last_view = copy.buffer.keys.narrow(2, 0, length)
            copy.values = copy.buffer.values.narrow(2, 0, length)
        return copy


class GrowingCache(DynamicCache):
    """A DynamicCache whose layers grow in place."""

    def __init__(self, layers: int, min_capacity: int = 0):
        """`min_capacity` is the number of tokens that there is room for to begin with."""
        super().__init__()
        self.layers: list[Any] = [_GrowingLayer(min_capacity) for _ in range(layers)]

    @property
    def length(self) -> int:
        """Tokens that every layer holds."""
        return min(layer.length for layer in self.layers)

    def crop_to(self, length: int) -> None:
        """See _GrowingLayer.crop_to()."""
        for layer in self.layers:
            layer.crop_to(length)

    def reserve(self, tokens: int) -> bool:
        """Makes room for `tokens` in all; returns whether a buffer moved."""
        return any([layer.buffer.reserve(layer.length, tokens) for layer in self.layers])

    def buffers(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of each layer, [1, heads, capacity, head_dim]; whoever writes to them calls crop_to() afterwards."""
        return [(layer.buffer.keys, layer.buffer.values) for layer in self.layers]

    def fork(self, length: int) -> GrowingCache:
        """A separate cache with a copy of the first `length` tokens."""
        copy = GrowingCache(0)
        copy.layers = [layer.fork(length) for layer in self.layers]
        return copy

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(layer.buffer.nbytes for layer in self.layers)
