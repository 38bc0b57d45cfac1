"""Keeps the KV caches of the last conversations, so that a turn computes only what follows the longest common prefix."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import torch

from .kv_cache import cached_length, crop_to
from .weights_fingerprint import ModelState

SLOTS = 4
MOST_TOKENS = 8192  # of all kept caches together, and never more than the model's context
_WORTH_A_BRANCH = 32  # tokens shared by two conversations, and lost to the one if the other took its cache


@dataclass(eq=False)
class _Slot:
    """`ids` [n], on the CPU: exactly the tokens whose keys and values `cache` holds, computed by the model in `state`."""

    ids: torch.Tensor
    cache: object
    state: ModelState


class PrefixCache:
    """Kept caches, the latest last. One that is taken is in nobody else's reach until it is given back.

    The caches of all conversations together take no more than one conversation as long as the model's context could take
    by itself (or 8,192 tokens, where that is less); the latest is kept whatever its length.
    """

    def __init__(self, context: int | None = None):
        """`context` is the length of the model's context in tokens, where it is known."""
        self._lock = threading.Lock()
        self._slots: list[_Slot] = []
        self._most = min(context or MOST_TOKENS, MOST_TOKENS)

    def take(self, ids: torch.Tensor, state: ModelState, reserve: int = 0):
        """A cache that holds a prefix of `ids` [n] and less than all of them, since the last token's logits are wanted; None
        where there is nothing to reuse. `reserve` is how many tokens will be added, for which room is made.
        """
        with self._lock:
            slot, shared = self._longest(ids, state)
            cache = None
            room = self._most - len(ids) - reserve
            if slot is not None and self._is_worth_a_branch(slot, shared, room):
                # Another conversation under the same system prompt, it may be: it gets a copy, and both can go on.
                cache = slot.cache.branch(shared)
                self._slots.append(self._slots.pop(self._slots.index(slot)))
            elif slot is not None and 2 * shared >= len(slot.ids):
                self._slots.remove(slot)
                cache = slot.cache
                crop_to(cache, shared)
            self._evict(room)
            return cache

    def _is_worth_a_branch(self, slot: _Slot, shared: int, room: int) -> bool:
        lost = len(slot.ids) - shared
        return min(shared, lost) >= _WORTH_A_BRANCH and len(slot.ids) <= room and hasattr(slot.cache, 'branch')

    def give_back(self, ids: torch.Tensor, cache, state: ModelState) -> None:
        """Keeps `cache`, however the generation ended. `ids` are the tokens given and sampled: those that the cache does
        not hold, as the last one sampled, are left off, and layers that are ahead of others are cut back.
        """
        length = min(len(ids), cached_length(cache))
        crop_to(cache, length)
        if not length:
            return
        with self._lock:
            self._slots.append(_Slot(ids[:length], cache, state))
            self._evict(self._most, spare=1)

    def clear(self) -> None:
        with self._lock:
            self._slots.clear()

    def __len__(self) -> int:
        return len(self._slots)

    def _longest(self, ids: torch.Tensor, state: ModelState) -> tuple[_Slot | None, int]:
        best, longest = None, 0
        for slot in reversed(self._slots):
            held = min(len(slot.ids), cached_length(slot.cache))  # less where a newer cache took the same buffers
            shared = min(common_prefix(slot.ids[:held], ids), len(ids) - 1)
            if shared > longest and slot.state == state:
                best, longest = slot, shared
        return best, longest

    def _evict(self, tokens: int, spare: int = 0) -> None:
        """Lets the oldest go until the others hold no more than `tokens`; `spare` of the latest stay in any case."""
        while len(self._slots) > spare and (
            len(self._slots) > SLOTS or sum(len(slot.ids) for slot in self._slots) > tokens
        ):
            del self._slots[0]


def common_prefix(one: torch.Tensor, other: torch.Tensor) -> int:
    """How many tokens two sequences [n] and [m] share from the first."""
    shorter = min(len(one), len(other))
    different = (one[:shorter] != other[:shorter]).nonzero()
    return int(different[0]) if len(different) else shorter
