"""KV caches that grow in place and can be cut back, for one sequence.

transformers' DynamicCache joins the whole cache anew for every token: at 1,500 tokens of a 7B that copies 0.8 GB per token.
Here each layer has room for the next tokens, writes them in place and hands out views.
"""

from __future__ import annotations

import inspect
from functools import lru_cache

import torch
from transformers import DynamicCache, cache_utils

CHUNK = 256  # tokens of room added at a time
_LAYERED = hasattr(cache_utils, 'DynamicLayer')  # caches are made of layers since transformers 4.54
# Rotary tables that change with the length of the text: what was computed for a long one is not right for a short one.
_ROPE_BY_LENGTH = ('dynamic', 'longrope', 'su')


def make_cache(model, max_length: int | None = None):
    """An empty transformers Cache for one sequence, to be given under the name of cache_name(). `max_length` is a hint.

    None where the model had best keep the cache that transformers makes for it: encoder-decoders, recurrent and chunked
    attention, caches that are tuples, rotary tables that follow the length of the text.
    """
    layers = _plain_layers(model)
    return None if layers is None else GrowingCache(layers, max_length or 0)


@lru_cache
def cache_name(kind: type) -> str:
    """What forward() and generate() of a class of models call their cache: it has had two names."""
    return 'cache' if 'cache' in inspect.signature(kind.forward).parameters else 'past_key_values'


def cached_length(cache) -> int:
    """The tokens that every layer holds: an exception in the middle of a forward pass leaves early layers one step ahead."""
    held = getattr(cache, 'held', None)
    return cache.get_seq_length() if held is None else held()


def crop_to(cache, length: int) -> None:
    """Cuts every layer to its first `length` tokens; they all hold that many."""
    if hasattr(cache, 'crop_to'):
        cache.crop_to(length)
    elif (surplus := cache.get_seq_length() - length) > 0:
        cache.crop(-surplus)  # what a positive number means differs between versions of transformers


def _plain_layers(model) -> int | None:
    """The number of layers, where each keeps keys and values of all tokens and nothing else; None for any other model.

    Layers with a window of attention are plain too: the mask hides what lies before the window. Before transformers 4.54
    masks were cut to the window's cache, so there they are not.
    """
    config = model.config.get_text_config(decoder=True)
    if model.config.is_encoder_decoder or not type(model).__module__.startswith('transformers.'):
        return None
    if getattr(config, 'attention_chunk_size', None) or not model._supports_default_dynamic_cache():
        return None
    if _rope_follows_length(getattr(config, 'rope_scaling', None) or getattr(config, 'rope_parameters', None)):
        return None
    if not _LAYERED:
        window = getattr(config, 'sliding_window', None) if getattr(config, 'use_sliding_window', True) else None
        return None if window else config.num_hidden_layers
    try:
        own = DynamicCache(config=config).layers
    except TypeError:  # transformers 4.54 and 4.55 do not take the config
        return config.num_hidden_layers
    plain = (cache_utils.DynamicLayer, getattr(cache_utils, 'DynamicSlidingWindowLayer', None))
    return len(own) if len(own) == config.num_hidden_layers and all(type(layer) in plain for layer in own) else None


def _rope_follows_length(settings) -> bool:
    if not isinstance(settings, dict):
        return False
    kinds = (settings.get('rope_type'), settings.get('type'))  # newer and older name
    return any(k in _ROPE_BY_LENGTH for k in kinds) or any(map(_rope_follows_length, settings.values()))


class _Room:
    """Keys and values of one layer, [1, heads, capacity, head_dim] each; the tokens in use stand at the front."""

    def __init__(self, least: int = 0):
        """`least` is the capacity to begin with: each time it is outgrown, all is copied."""
        self.least = least
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None

    def append(self, length: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes new tokens [1, heads, n, head_dim] behind the first `length`: views of all of them."""
        new = keys.shape[2]
        if self.keys is None or length + new > self.keys.shape[2]:
            self.keys = _grown(self.keys, length, keys, self.least)
            self.values = _grown(self.values, length, values, self.least)
        self.keys.narrow(2, length, new).copy_(keys)
        self.values.narrow(2, length, new).copy_(values)
        return self.keys.narrow(2, 0, length + new), self.values.narrow(2, 0, length + new)

    def reserve(self, length: int, tokens: int) -> bool:
        """Makes room for `tokens` in all, of which `length` are there; says whether anything had to move."""
        if tokens <= self.keys.shape[2]:
            return False
        for name in ('keys', 'values'):
            old = getattr(self, name)
            new = old[:, :, :1].expand(-1, -1, tokens - length, -1)
            setattr(self, name, _grown(old, length, new))
        return True

    def branch(self, length: int) -> _Room:
        """A copy of the first `length` tokens."""
        copy = _Room()
        copy.keys = _grown(self.keys, length, self.keys.narrow(2, 0, 0))
        copy.values = _grown(self.values, length, self.values.narrow(2, 0, 0))
        return copy

    @property
    def nbytes(self) -> int:
        return 0 if self.keys is None else self.keys.nbytes + self.values.nbytes


def _grown(old: torch.Tensor | None, length: int, new: torch.Tensor, least: int = 0) -> torch.Tensor:
    """Room for `length` tokens of `old`, which are copied, and those of `new`, which are not."""
    batch, heads, count, size = new.shape
    capacity = -(-max(length + count + 1, least) // CHUNK) * CHUNK
    # An inference tensor could not be written to by a later turn that runs under no_grad.
    with torch.inference_mode(False):
        grown = torch.empty((batch, heads, capacity, size), dtype=new.dtype, device=new.device)
    if length:
        grown.narrow(2, 0, length).copy_(old.narrow(2, 0, length))
    return grown


if _LAYERED:

    class _GrowingLayer(cache_utils.DynamicLayer):
        """`keys` and `values` are views, as the layer of transformers has tensors, so that its other methods work on them."""

        def __init__(self, least: int = 0):
            super().__init__()
            self.room = _Room(least)
            self._seen: torch.Tensor | None = None  # `keys` as we left them

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
            """key_states, value_states [batch, heads, n, head_dim] to views of all tokens."""
            if not self.is_initialized:
                self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
                length = 0
            else:
                length = self.held()
                if self.keys is not self._seen:  # reordered, repeated, moved: by a method of transformers
                    self.room = _Room()
                    self.room.keys, self.room.values = self.keys, self.values
            keys, values = self.room.append(length, key_states, value_states)
            self.keys, self.values = keys, values
            self._seen = keys
            return keys, values

        def held(self) -> int:
            if not self.is_initialized or self.keys is None:
                return 0
            return min(self.keys.shape[2], self.values.shape[2])

        def crop(self, *args, **kwargs) -> None:
            """As transformers' own; the room stays."""
            ours = self.keys is self._seen
            super().crop(*args, **kwargs)
            self._seen = self.keys if ours else None

        def crop_to(self, length: int) -> None:
            if self.held() and self.keys is self._seen:
                self.keys, self.values = (t.narrow(2, 0, length) for t in (self.room.keys, self.room.values))
                self._seen = self.keys

        def branch(self, length: int) -> _GrowingLayer:
            copy = _GrowingLayer()
            copy.dtype, copy.device, copy.is_initialized = self.dtype, self.device, True
            copy.room = self.room.branch(length)
            copy.keys = copy._seen = copy.room.keys.narrow(2, 0, length)
            copy.values = copy.room.values.narrow(2, 0, length)
            return copy

    class GrowingCache(DynamicCache):
        """A DynamicCache whose layers grow in place."""

        def __init__(self, layers: int, least: int = 0):
            """`least` is how many tokens there is room for to begin with."""
            super().__init__()
            self.layers = [_GrowingLayer(least) for _ in range(layers)]

        def held(self) -> int:
            return min(layer.held() for layer in self.layers)

        def crop_to(self, length: int) -> None:
            for layer in self.layers:
                layer.crop_to(length)

        def reserve(self, tokens: int) -> bool:
            """Makes room for `tokens` in all; says whether anything had to move."""
            return any([layer.room.reserve(layer.held(), tokens) for layer in self.layers])

        def buffers(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
            """Keys and values of each layer, [1, heads, room, head_dim]; who writes to them calls crop_to() after."""
            return [(layer.room.keys, layer.room.values) for layer in self.layers]

        def branch(self, length: int) -> GrowingCache:
            """A cache of its own with a copy of the first `length` tokens."""
            copy = GrowingCache(0)
            copy.layers = [layer.branch(length) for layer in self.layers]
            return copy

        @property
        def nbytes(self) -> int:
            """Bytes allocated."""
            return sum(layer.room.nbytes for layer in self.layers)

else:

    class GrowingCache(DynamicCache):
        """A DynamicCache of transformers before 4.54, with lists of tensors in place of layers: here they are views."""

        def __init__(self, layers: int, least: int = 0):
            super().__init__()
            self.rooms = [_Room(least) for _ in range(layers)]

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, cache_kwargs=None):
            """key_states, value_states [1, heads, n, head_dim] to views of all tokens of the layer."""
            length = self._held(layer_idx)
            keys, values = self.rooms[layer_idx].append(length, key_states, value_states)
            if layer_idx == len(self.key_cache):
                self.value_cache.append(values)
                self.key_cache.append(keys)
            else:
                self.key_cache[layer_idx], self.value_cache[layer_idx] = keys, values
            if layer_idx == 0:
                self._seen_tokens = keys.shape[2]
            return keys, values

        def _held(self, layer: int) -> int:
            if layer >= len(self.key_cache):
                del self.value_cache[layer:]
                return 0
            return min(self.key_cache[layer].shape[2], self.value_cache[layer].shape[2])

        def held(self) -> int:
            return min(self._held(layer) for layer in range(len(self.rooms)))

        def crop_to(self, length: int) -> None:
            for i in range(len(self.key_cache)):
                self.key_cache[i] = self.rooms[i].keys.narrow(2, 0, length)
                self.value_cache[i] = self.rooms[i].values.narrow(2, 0, length)
            self._seen_tokens = length

        def reserve(self, tokens: int) -> bool:
            """Makes room for `tokens` in all; says whether anything had to move."""
            return any([room.reserve(self._held(i), tokens) for i, room in enumerate(self.rooms)])

        def buffers(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
            """Keys and values of each layer, [1, heads, room, head_dim]; who writes to them calls crop_to() after."""
            return [(room.keys, room.values) for room in self.rooms]

        def branch(self, length: int) -> GrowingCache:
            """A cache of its own with a copy of the first `length` tokens."""
            copy = GrowingCache(0)
            copy.rooms = [room.branch(length) for room in self.rooms]
            copy.key_cache, copy.value_cache = ([None] * len(self.rooms) for _ in range(2))
            copy.crop_to(length)
            return copy

        @property
        def nbytes(self) -> int:
            """Bytes allocated."""
            return sum(room.nbytes for room in self.rooms)
