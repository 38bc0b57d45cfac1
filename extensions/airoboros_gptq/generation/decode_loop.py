"""The loop of generate() over the tokens of one sequence, greedy or sampled, with less Python between two of them.

transformers' own loop makes masks, positions and arguments anew for every token and looks up each processor's signature;
it is the reference, and goes on serving what is not plain (turns.py). Ours takes its place through `custom_generate`, which
takes a function since transformers 4.57. On a GPU it also starts the pass over a token before anyone has looked at it, so
that sampling, stopping and streaming in Python take no time of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.generation import EosTokenCriteria, GenerationMixin, MaxLengthCriteria

from .kv_cache import cache_name, cached_length

_CUSTOM = inspect.signature(GenerationMixin.generate).parameters.get('custom_generate')
IS_TAKEN = _CUSTOM is not None and 'Callable' in str(_CUSTOM.annotation)
# A stopping criterion with this attribute gets ids that lie on the CPU, which it can look at without waiting for the GPU.
IDS_ON_CPU = 'takes_ids_on_the_cpu'
_LAST_ONLY = ('logits_to_keep', 'num_logits_to_keep')  # newer and older name


def in_place_of_transformers_own(streamer) -> dict:
    """What to give to generate() so that it runs this loop; nothing where this transformers has no place for it.

    `streamer` is the one that generate() is given: transformers 4.57 does not pass it on to a function.
    """
    return {'custom_generate': functools.partial(make_tokens, streamer=streamer)} if IS_TAKEN else {}


def make_tokens(
    model,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config,
    synced_gpus: bool = False,
    streamer=None,
    **model_kwargs,
) -> torch.Tensor:
    """As transformers' `_sample` for ids [1, n] without padding and a cache among `model_kwargs`: ids [1, n + new].

    Draws from the random generator as `_sample` does, so that a seed gives the same tokens. At the end the cache holds all
    tokens but the last, or all of them.
    """
    name = cache_name(type(model))
    cache = model_kwargs[name]
    always = {name: cache, 'use_cache': True, 'return_dict': True}
    always |= {k: model_kwargs[k] for k in _LAST_ONLY if k in model_kwargs}
    process, stops = _processing(logits_processor), _Stops(stopping_criteria)
    ids, look = _Ids(input_ids, stops.length), _Look(input_ids.device)
    # Layers on the CPU run while they are asked for: there each token would come a pass late.
    in_background = look.waits and not {'cpu', 'disk'} & set(map(str, getattr(model, 'hf_device_map', {}).values()))

    logits = model(input_ids=input_ids[:, cached_length(cache) :], **always).logits
    while True:
        scores = process(ids.all, logits[:, -1].to(input_ids.device, torch.float32, copy=True))
        if generation_config.do_sample:
            token = torch.multinomial(torch.softmax(scores, dim=-1), num_samples=1)
        else:
            token = scores.argmax(-1, keepdim=True)
        logits = None  # of a prompt they may be large
        ids.append(token)
        look.at(token)
        ahead = in_background and ids.length < stops.length
        if ahead:
            logits = model(input_ids=token, **always).logits
        seen = look.seen()
        ids.see(seen)
        if streamer is not None:
            streamer.put(seen)
        if stops.at(ids, int(seen)):
            break
        if not ahead:
            logits = model(input_ids=token, **always).logits
    if streamer is not None:
        streamer.end()
    return ids.all


def _processing(processors: LogitsProcessorList) -> Callable:
    """The list's own call, without looking up each processor's signature for every token."""
    if type(processors) is not LogitsProcessorList or any(
        len(inspect.signature(p.__call__).parameters) > 2 for p in processors
    ):
        return processors

    def process(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for processor in processors:
            scores = processor(ids, scores)
        return scores

    return process


class _Ids:
    """All ids so far, [1, length], in a buffer with room: views of it stay what they were."""

    def __init__(self, prompt: torch.Tensor, most: int):
        self.length = prompt.shape[1]
        self._room = prompt.new_empty(1, min(most, self.length + 512) + 1)
        self._room[:, : self.length] = prompt
        self.all = self._room[:, : self.length]
        self._on_cpu = None if prompt.device.type == 'cpu' else _Ids(prompt.cpu(), most)

    @property
    def on_cpu(self) -> torch.Tensor:
        """The same up to the last token that was seen."""
        return self.all if self._on_cpu is None else self._on_cpu.all

    def append(self, token: torch.Tensor) -> None:
        if self.length == self._room.shape[1]:
            larger = self._room.new_empty(1, 2 * self.length)
            larger[:, : self.length] = self._room
            self._room = larger
        self._room[:, self.length : self.length + 1] = token
        self.length += 1
        self.all = self._room[:, : self.length]

    def see(self, token: torch.Tensor) -> None:
        """token [1], on the CPU: the one that was appended last."""
        if self._on_cpu is not None:
            self._on_cpu.append(token[None])


class _Stops:
    """transformers' criteria, the two that every generation has by number."""

    def __init__(self, criteria: StoppingCriteriaList):
        self.length = min((c.max_length for c in criteria if type(c) is MaxLengthCriteria), default=1 << 62)
        self._ends = {int(i) for c in criteria if type(c) is EosTokenCriteria for i in c.eos_token_id.flatten()}
        self._others = [c for c in criteria if type(c) not in (MaxLengthCriteria, EosTokenCriteria)]

    def at(self, ids: _Ids, last: int) -> bool:
        stop = ids.length >= self.length or last in self._ends
        for criterion in self._others:  # each is asked for each token: some only listen
            answer = criterion(ids.on_cpu if getattr(criterion, IDS_ON_CPU, False) else ids.all, None)
            stop |= answer if isinstance(answer, bool) else bool(torch.as_tensor(answer).all())
        return stop


class _Look:
    """Brings a token to the CPU without waiting for what is started after it."""

    def __init__(self, device: torch.device):
        self.waits = device.type == 'cuda'
        if self.waits:
            self._device, self._event = device, torch.cuda.Event()

    def at(self, token: torch.Tensor) -> None:
        """token [1, 1]; its copy is under way afterwards."""
        if not self.waits:
            self._seen = token[0]
            return
        self._seen = torch.empty(1, dtype=token.dtype, pin_memory=True)
        self._seen.copy_(token[0], non_blocking=True)
        self._event.record(torch.cuda.current_stream(self._device))

    def seen(self) -> torch.Tensor:
        """The token [1], on the CPU."""
        if self.waits:
            self._event.synchronize()
        return self._seen
