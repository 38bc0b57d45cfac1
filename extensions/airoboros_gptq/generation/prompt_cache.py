"""The KV caches of the last conversations, so that a turn computes only what follows the longest common prefix."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import torch

from .kv_cache import GrowingCache, cached_length, crop_to
from .weights_fingerprint import WeightsFingerprint

SLOTS = 4
MAX_TOKENS = 8192  # of all caches together, and never more than the model's context
_MIN_TOKENS_TO_COPY = (
    32  # tokens that two conversations share, and that the first would lose if the second took its cache
)


@dataclass(eq=False)
class _Slot:
    """`ids` [n], on the CPU: exactly the tokens whose keys and values `cache` holds, computed by the model in `state`."""

    ids: torch.Tensor
    cache: GrowingCache
    state: WeightsFingerprint


class PromptCache:
    """Caches of conversations, the latest last. One that is acquired is out of reach of other calls until its release.

    All of them together hold no more tokens than the model's context, and no more than MAX_TOKENS; the latest is kept whatever
    its length.
    """

    def __init__(self, context: int | None = None):
        """`context` is the length of the model's context in tokens, where it is known."""
        self._lock = threading.Lock()
        self._slots: list[_Slot] = []
        self.context = context
        self._max_tokens = min(context or MAX_TOKENS, MAX_TOKENS)

    def acquire(self, ids: torch.Tensor, state: WeightsFingerprint, reserve: int = 0) -> GrowingCache | None:
        """A cache that holds a prefix of `ids` [n], but not all of them, since the last token's logits are needed; None where
        there is nothing to reuse. `reserve` is the number of tokens to be added: older caches make room for them.
        """
        with self._lock:
            slot, shared = self._longest_prefix(ids, state)
            cache = None
            room = self._max_tokens - len(ids) - reserve
            if slot is not None and self._should_copy(slot, shared, room):
                # Perhaps another conversation under the same system prompt: it gets a copy, and both can go on.
                cache = slot.cache.fork(shared)
                self._slots.append(self._slots.pop(self._slots.index(slot)))
            elif slot is not None and 2 * shared >= len(slot.ids):
                self._slots.remove(slot)
                cache = slot.cache
                crop_to(cache, shared)
            self._evict(room)
            return cache

    def _should_copy(self, slot: _Slot, shared: int, room: int) -> bool:
        lost = len(slot.ids) - shared
        return min(shared, lost) >= _MIN_TOKENS_TO_COPY and len(slot.ids) <= room

    def release(self, ids: torch.Tensor, cache: GrowingCache, state: WeightsFingerprint) -> None:
        """Keeps `cache`, however the generation ended. `ids` [n] are the prompt and the sampled tokens: those that the cache
        does not hold, such as the last one sampled, are left off, and layers that are ahead of others are cut back.
        """
        length = min(len(ids), cached_length(cache))
        crop_to(cache, length)
        if not length:
            return
        with self._lock:
            self._slots.append(_Slot(ids[:length], cache, state))
            self._evict(self._max_tokens, spare=1)

    def clear(self) -> None:
        with self._lock:
            self._slots.clear()

    def __len__(self) -> int:
        return len(self._slots)

    def _longest_prefix(self, ids: torch.Tensor, state: WeightsFingerprint) -> tuple[_Slot | None, int]:
        best, longest = None, 0
        for slot in reversed(self._slots):
            length = min(len(slot.ids), cached_length(slot.cache))  # less where a newer cache took the same buffers
            shared = min(common_prefix(slot.ids[:length], ids), len(ids) - 1)
            if shared > longest and slot.state == state:
                best, longest = slot, shared
        return best, longest

    def _evict(self, tokens: int, spare: int = 0) -> None:
        """Drops the oldest until the others hold no more than `tokens`; the latest `spare` always stay."""
        while len(self._slots) > spare and (
            len(self._slots) > SLOTS or sum(len(slot.ids) for slot in self._slots) > tokens
        ):
            del self._slots[0]


def common_prefix(one: torch.Tensor, other: torch.Tensor) -> int:
    """The number of tokens that two sequences [n] and [m] share from the first."""
    shorter = min(len(one), len(other))
    different = (one[:shorter] != other[:shorter]).nonzero()
    return int(different[0]) if len(different) else shorter
