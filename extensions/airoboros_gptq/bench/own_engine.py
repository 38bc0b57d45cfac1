"""This loader as an Engine, and two measurements of its own: generate() and a second turn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..generation.kv_cache import cache_name, crop_to, make_cache
from ..generation.logits_to_keep import last_only
from ..generation.weights_fingerprint import WeightsFingerprint
from ..kernels.cpu.bindings import instruction_set
from ..model.load import load
from ..util.types import TransformersModel
from .clock import now
from .engines.protocol import random_prompt
from .machine import synchronize


class OwnEngine:
    """A loaded model. Times are in seconds."""

    name = 'airoboros-gptq'

    def __init__(
        self,
        folder: Path,
        device: str | None,
        kernel: str,
        checkpoint: str | None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ):
        start = now()
        self.model: TransformersModel  # None after unload()
        self.model, self.tokenizer = load(
            folder, checkpoint=checkpoint, device=device, kernel=kernel, progress=progress
        )
        self.device = str(self.model.device)
        synchronize(self.device)
        self.load_seconds = now() - start
        self.running: str = self.model.gptq.description
        self.about: dict[str, Any] = {'version': __version__, 'running': self.running}
        self.instructions = instruction_set() if 'native-cpu' in self.running else None
        self._prompt = random_prompt(self.model.config.vocab_size, self.device)
        model_class = type(self.model)
        self._cache_name, self._last_only = cache_name(model_class), last_only(model_class)
        self._caches: dict[int, Any] = {}  # by the number of tokens in them

    def unload(self) -> None:
        """Frees the model and its caches."""
        self.model = None
        self._caches.clear()

    def ids(self, count: int) -> torch.Tensor:
        """Random ids [1, count] on the device. A longer prompt begins with a shorter one."""
        ids: torch.Tensor = self._prompt[:, :count]
        return ids

    @torch.inference_mode()
    def prefill(self, count: int) -> float:
        """Seconds to read a prompt of `count` tokens into an empty KV cache, which decode() then continues."""
        ids, cache = self.ids(count), self._empty_cache(count + 256)
        self._caches.clear()
        synchronize(self.device)
        start = now()
        self._forward(ids, cache)
        synchronize(self.device)
        self._caches[count] = cache
        return now() - start

    @torch.inference_mode()
    def decode(self, context: int, count: int) -> float:
        """Seconds to decode `count` tokens greedily after `context` others, whose prefill is not timed."""
        if context not in self._caches:
            self.prefill(context)
        cache = self._caches[context]
        token = self.ids(context)[:, -1:]
        fused = self.model.gptq.fused_forward
        synchronize(self.device)
        start = now()
        if fused is not None:
            fused.decode_greedily(cache, token, count)
        else:
            for _ in range(count):
                token = self._forward(token, cache).argmax(-1)
        synchronize(self.device)
        seconds = now() - start
        crop_to(cache, context)
        return seconds

    def cache_bytes(self) -> int:
        """Bytes of the KV caches in memory."""
        return sum(cache.nbytes for cache in self._caches.values() if hasattr(cache, 'nbytes'))

    def generate(self, context: int, count: int) -> float:
        """Seconds that generate() takes for what decode() does: the cost of its loop comes on top."""
        ids = self.ids(context)
        self._fill_prompt_cache(context)
        clock = _TokenClock(self.device)
        self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count + 1,
            min_new_tokens=count + 1,
            do_sample=False,
            streamer=clock,
        )
        return clock.last - clock.first

    def second_turn(self, history: int, new: int) -> tuple[float, float]:
        """(time to first token of a turn of `new` tokens after a conversation of `history` tokens, time to first token of a
        prompt of those `new` tokens alone), both by generate().
        """
        new_ids = self._prompt[:, -new:]
        self.model.gptq.prompt_cache.clear()
        alone = self._seconds_to_first_token(new_ids)
        self._fill_prompt_cache(history)
        return self._seconds_to_first_token(torch.cat((self.ids(history), new_ids), dim=1)), alone

    def _seconds_to_first_token(self, ids: torch.Tensor) -> float:
        clock = _TokenClock(self.device)
        synchronize(self.device)
        start = now()
        self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=1, do_sample=False, streamer=clock)
        return clock.first - start

    def _fill_prompt_cache(self, context: int) -> None:
        """Puts a prompt's KV cache into the prompt cache, as an earlier turn would leave it."""
        if context not in self._caches:
            self.prefill(context)
        cache = self._caches.pop(context)
        self.model.gptq.prompt_cache.clear()
        self.model.gptq.prompt_cache.release(self.ids(context)[0].cpu(), cache, WeightsFingerprint(self.model))

    def _empty_cache(self, capacity: int) -> Any:
        from transformers import DynamicCache

        return make_cache(self.model, capacity) or DynamicCache()

    def _forward(self, ids: torch.Tensor, cache: Any) -> torch.Tensor:
        """Logits [1, 1, vocabulary] of the last token."""
        logits: torch.Tensor = self.model(ids, use_cache=True, **{self._cache_name: cache}, **self._last_only).logits
        return logits[:, -1:]


class _TokenClock:
    """A streamer that notes when the `first` and the `last` token were generated."""

    def __init__(self, device: str):
        self.first = self.last = 0.0
        self._device, self._calls = device, 0

    def put(self, value: torch.Tensor) -> None:
        self._calls += 1  # the first call has the prompt
        if self._calls == 1:
            return
        synchronize(self._device)
        self.last = now()
        self.first = self.first or self.last

    def end(self) -> None:
        pass
