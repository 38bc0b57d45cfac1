"""generate()'s loop over the tokens of one sequence, greedy or sampled, with less Python per token.

transformers' own loop builds masks, positions and arguments anew for every token and looks up each processor's signature; it is
the reference, and serves every call that is not plain (cached_generate.py). This one is passed as `custom_generate`, which
takes a function since transformers 4.57. On a GPU it launches the next forward pass before the sampled token is on the host,
so that sampling, stopping and streaming in Python take no time of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import cast

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.generation import EosTokenCriteria, GenerationMixin, MaxLengthCriteria

from ..names import IDS_ON_CPU
from .kv_cache import cache_name, cached_length
from .logits_to_keep import LOGITS_TO_KEEP

_CUSTOM_GENERATE = inspect.signature(GenerationMixin.generate).parameters.get('custom_generate')
IS_SUPPORTED = _CUSTOM_GENERATE is not None and 'Callable' in str(_CUSTOM_GENERATE.annotation)


def custom_generate_kwargs(streamer) -> dict:
    """Arguments for generate() by which it runs this loop; none where this transformers cannot.

    `streamer` is the one that generate() is given: transformers 4.57 does not pass it on to a function.
    """
    return {'custom_generate': functools.partial(generate_tokens, streamer=streamer)} if IS_SUPPORTED else {}


def generate_tokens(
    model,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config,
    synced_gpus: bool = False,
    streamer=None,
    **model_kwargs,
) -> torch.Tensor:
    """As transformers' `_sample`: ids [1, n] without padding, with a cache among `model_kwargs`, to ids [1, n + new].

    Draws from the random generator as `_sample` does, so that a seed gives the same tokens. At the end the cache holds all
    tokens but the last, or all of them.
    """
    name = cache_name(type(model))
    cache = model_kwargs[name]
    arguments = {name: cache, 'use_cache': True, 'return_dict': True}
    arguments |= {k: model_kwargs[k] for k in LOGITS_TO_KEEP if k in model_kwargs}
    process, stop_check = _without_signatures(logits_processor), _StopCheck(stopping_criteria)
    ids, copy = _TokenBuffer(input_ids, stop_check.max_length), _AsyncTokenCopy(input_ids.device)
    # Layers on the CPU run in the caller's thread: there each token would come a forward pass late.
    device_types = {str(device) for device in getattr(model, 'hf_device_map', {}).values()}
    can_launch_ahead = copy.is_async and not {'cpu', 'disk'} & device_types

    logits = model(input_ids=input_ids[:, cached_length(cache) :], **arguments).logits
    while True:
        scores = process(ids.all, logits[:, -1].to(input_ids.device, torch.float32, copy=True))
        if generation_config.do_sample:
            token = torch.multinomial(torch.softmax(scores, dim=-1), num_samples=1)
        else:
            token = scores.argmax(-1, keepdim=True)
        logits = None  # a prompt's may be large
        ids.append(token)
        copy.start(token)
        launched_ahead = can_launch_ahead and ids.length < stop_check.max_length
        if launched_ahead:
            logits = model(input_ids=token, **arguments).logits
        on_cpu = copy.wait()
        ids.append_on_cpu(on_cpu)
        if streamer is not None:
            streamer.put(on_cpu)
        if stop_check.should_stop(ids, int(on_cpu)):
            break
        if not launched_ahead:
            logits = model(input_ids=token, **arguments).logits
    if streamer is not None:
        streamer.end()
    return ids.all


def _without_signatures(processors: LogitsProcessorList) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The list's own call, without looking up each processor's signature for every token."""
    if type(processors) is not LogitsProcessorList or any(
        len(inspect.signature(p.__call__).parameters) > 2 for p in processors
    ):
        return cast(Callable[[torch.Tensor, torch.Tensor], torch.Tensor], processors)

    def process(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for processor in processors:
            scores = processor(ids, scores)
        return scores

    return process


class _TokenBuffer:
    """All ids so far, [1, length], in a buffer with spare capacity: views of it keep their values."""

    def __init__(self, prompt: torch.Tensor, max_length: int):
        self.length = prompt.shape[1]
        self._buffer = prompt.new_empty(1, min(max_length, self.length + 512) + 1)
        self._buffer[:, : self.length] = prompt
        self.all = self._buffer[:, : self.length]
        self._copy = None if prompt.device.type == 'cpu' else _TokenBuffer(prompt.cpu(), max_length)

    @property
    def on_cpu(self) -> torch.Tensor:
        """The same on the CPU, up to the last token that was copied there."""
        return self.all if self._copy is None else self._copy.all

    def append(self, token: torch.Tensor) -> None:
        """token [1, 1]."""
        if self.length == self._buffer.shape[1]:
            larger = self._buffer.new_empty(1, 2 * self.length)
            larger[:, : self.length] = self._buffer
            self._buffer = larger
        self._buffer[:, self.length : self.length + 1] = token
        self.length += 1
        self.all = self._buffer[:, : self.length]

    def append_on_cpu(self, token: torch.Tensor) -> None:
        """token [1], on the CPU: the one appended last."""
        if self._copy is not None:
            self._copy.append(token[None])


class _StopCheck:
    """transformers' stopping criteria, the two that every generation has compared as numbers."""

    def __init__(self, criteria: StoppingCriteriaList):
        self.max_length = min((c.max_length for c in criteria if type(c) is MaxLengthCriteria), default=1 << 62)
        self._eos_ids = {int(i) for c in criteria if type(c) is EosTokenCriteria for i in c.eos_token_id.flatten()}
        self._others = [c for c in criteria if type(c) not in (MaxLengthCriteria, EosTokenCriteria)]

    def should_stop(self, ids: _TokenBuffer, last: int) -> bool:
        stop = ids.length >= self.max_length or last in self._eos_ids
        for criterion in self._others:  # each is called for each token: some only listen
            answer = criterion(ids.on_cpu if getattr(criterion, IDS_ON_CPU, False) else ids.all, None)
            stop |= answer if isinstance(answer, bool) else bool(torch.as_tensor(answer).all())
        return stop


class _AsyncTokenCopy:
    """Copies a token to the host without waiting for what is launched after it."""

    def __init__(self, device: torch.device):
        self.is_async = device.type == 'cuda'
        self._device = device
        self._event = torch.cuda.Event() if self.is_async else None

    def start(self, token: torch.Tensor) -> None:
        """token [1, 1]."""
        if self._event is None:
            self._token = token[0]
            return
        self._token = torch.empty(1, dtype=token.dtype, pin_memory=True)
        self._token.copy_(token[0], non_blocking=True)
        self._event.record(torch.cuda.current_stream(self._device))

    def wait(self) -> torch.Tensor:
        """The token [1], on the CPU."""
        if self._event is not None:
            self._event.synchronize()
        return self._token
