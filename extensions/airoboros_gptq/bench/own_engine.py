"""This loader, measured: the model's forward pass, generate(), and a second turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..generation.kv_cache import cache_name, crop_to, make_cache
from ..generation.logits_to_keep import last_only
from ..generation.weights_fingerprint import WeightsFingerprint
from ..kernels.cpu.bindings import instruction_set
from ..model.load import load
from .clock import now
from .machine import synchronize


class OwnEngine:
    """A loaded model. Times are seconds; prompts are random ids, the same for every engine of a run."""

    name = 'airoboros-gptq'

    def __init__(self, folder: Path, device: str | None, kernel: str, checkpoint: str | None, progress):
        start = now()
        self.model: Any
        self.model, self.tokenizer = load(
            folder, checkpoint=checkpoint, device=device, kernel=kernel, progress=progress
        )
        self.device = str(self.model.device)
        synchronize(self.device)
        self.load_seconds = now() - start
        self.running = self.model.gptq.description
        self.instructions = instruction_set() if 'native-cpu' in self.running else None
        self._last_only = last_only(type(self.model))
        self._caches: dict[int, object] = {}

    def unload(self) -> None:
        """Frees the model and its caches."""
        self.model = None
        self._caches.clear()

    def ids(self, count: int) -> torch.Tensor:
        """Random ids [1, count]; a longer prompt begins as a shorter one does."""
        generator = torch.Generator().manual_seed(2023)
        vocabulary = self.model.config.vocab_size
        return torch.randint(3, vocabulary, (1, 4096), generator=generator)[:, :count].to(self.device)

    @torch.inference_mode()
    def prefill(self, count: int) -> float:
        """Reads a prompt of `count` tokens into an empty cache, which decode() then goes on from."""
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
        """Decodes `count` tokens greedily after `context` others. Only decoding is timed."""
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
        """Bytes of the KV caches that are held."""
        return sum(cache.nbytes for cache in self._caches.values() if hasattr(cache, 'nbytes'))

    def generate(self, context: int, count: int) -> float:
        """decode() through generate(), greedily: the cost of its loop comes on top. Reading the prompt is not timed."""
        ids = self.ids(context)
        self._fill_prompt_cache(context)
        clock = _FirstToken(self.device)
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
        """(seconds to the first token of a turn of `new` tokens after `history` others, seconds to prefill `new` tokens
        alone, through generate() too).
        """
        alone = self.ids(4096)[:, -new:]
        self.model.gptq.prompt_cache.clear()
        alone_seconds = self._to_first_token(alone)
        self._fill_prompt_cache(history)
        together = torch.cat((self.ids(history), alone), dim=1)
        return self._to_first_token(together), alone_seconds

    def _to_first_token(self, ids: torch.Tensor) -> float:
        clock = _FirstToken(self.device)
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

    def _empty_cache(self, room: int):
        from transformers import DynamicCache

        return make_cache(self.model, room) or DynamicCache()

    def _forward(self, ids: torch.Tensor, cache) -> torch.Tensor:
        """Logits [1, 1, vocabulary] of the last token."""
        return self.model(ids, use_cache=True, **{cache_name(type(self.model)): cache}, **self._last_only).logits[
            :, -1:
        ]


class _FirstToken:
    """A streamer that looks at the clock: `first` when the first token is there, `last` when the last one is."""

    def __init__(self, device: str):
        self.first = self.last = 0.0
        self._device, self._calls = device, 0

    def put(self, value) -> None:
        self._calls += 1  # the first is the prompt
        if self._calls == 1:
            return
        synchronize(self._device)
        self.last = now()
        self.first = self.first or self.last

    def end(self) -> None:
        pass
