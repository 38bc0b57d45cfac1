"""Lets a model's generate() go on from the KV cache of an earlier turn.

The seam is `generate` itself, on the one loaded model: it is what the webui, our page, the command line, peft and scripts
call. Whatever is not one plain sequence, greedy or sampled, goes to transformers as it came.
"""

from __future__ import annotations

import functools
import inspect
import weakref

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ..model.oom import is_out_of_memory
from .decode_loop import in_place_of_transformers_own
from .kv_cache import cache_name, make_cache
from .prompt_cache import PrefixCache
from .weights_fingerprint import ModelState

# Settings of generate() under which there is more than one sequence, another cache, or another way of decoding.
_NOT_PLAIN = {
    **{name: (None, 1) for name in ('num_beams', 'num_beam_groups', 'num_return_sequences')},
    **{name: (None, False) for name in ('return_dict_in_generate', 'token_healing', 'synced_gpus')},
    **{
        name: (None,)
        for name in (
            *('assistant_model', 'assistant_early_exit', 'assistant_tokenizer', 'prompt_lookup_num_tokens'),
            *('constraints', 'force_words_ids', 'dola_layers', 'cache_implementation', 'custom_generate'),
            *('prefill_chunk_size', 'past_key_values', 'cache', 'cache_params'),
        )
    },
    'penalty_alpha': (None, 0),
    'use_cache': (None, True),
}
_FORWARD_TAKES = (
    'input_ids',
    'attention_mask',
    'use_cache',
    'output_attentions',
    'output_hidden_states',
    'return_dict',
)
_LIKELY_ANSWER = 512  # tokens for which room is made where the caller allows more


def remember_turns(model) -> None:
    """Puts a generate() onto the model that reuses caches between calls. Nothing keeps the model alive but its owner."""
    context = getattr(model.config.get_text_config(decoder=True), 'max_position_embeddings', None)
    model.generate = Turns(model, context)


class Turns:
    """generate() of one model. Stands on the instance, in front of the class's own."""

    def __init__(self, model, context: int | None):
        functools.update_wrapper(self, type(model).generate)
        self._model = weakref.ref(model)  # the model holds us: no circle, so memory is free as soon as it is let go
        self._context = context
        self.kept = PrefixCache(context)

    def __deepcopy__(self, memo) -> Turns:
        return Turns(memo[id(self._model())], self._context)

    def __call__(self, *args, **kwargs):
        """As transformers' generate(). Raises what it raises."""
        model = self._model()
        generate = type(model).generate
        ids = plain_prompt(model, args, kwargs)
        if ids is None:
            return generate(model, *args, **kwargs)
        state = ModelState(model)
        reserve = min(_setting(model, kwargs, 'max_new_tokens') or _LIKELY_ANSWER, _LIKELY_ANSWER)
        cache = self.kept.take(ids, state, reserve)
        if cache is None:
            cache = make_cache(model, len(ids) + reserve)
        if cache is None:
            return generate(model, *args, **kwargs)
        record = _Record(ids)
        criteria = StoppingCriteriaList([record, *(kwargs.pop('stopping_criteria', None) or ())])
        try:
            own = {cache_name(type(model)): cache, 'stopping_criteria': criteria}
            loop = in_place_of_transformers_own(kwargs.get('streamer'))
            return generate(model, *args, **kwargs, **own, **loop)
        except Exception as e:
            if is_out_of_memory(e):
                self.kept.clear()  # the next attempt has their room
            raise
        finally:
            if state == ModelState(model):
                self.kept.give_back(record.ids.to('cpu'), cache, state)


class _Record(StoppingCriteria):
    """Sees every token as it is appended, also those of a generation that never returns."""

    takes_ids_on_the_cpu = True  # token_loop.py's IDS_ON_CPU

    def __init__(self, ids: torch.Tensor):
        self.ids = ids

    def __call__(self, input_ids, scores, **kwargs) -> bool:
        self.ids = input_ids[0]
        return False


def plain_prompt(model, args: tuple, kwargs: dict) -> torch.Tensor | None:
    """The prompt's ids [n], on the CPU, where a call of generate() is for one sequence without padding, greedy or sampled,
    from ids alone; None for any other.
    """
    if len(args) > 1 or model.training:
        return None
    given = [ids for ids in (*args, kwargs.get('inputs'), kwargs.get('input_ids')) if ids is not None]
    if len(given) != 1 or not isinstance(given[0], torch.Tensor) or given[0].dim() != 2 or given[0].is_floating_point():
        return None
    if given[0].shape[0] != 1 or not given[0].shape[1]:
        return None
    takes = inspect.signature(type(model).forward).parameters
    if any(v is not None and k in takes and k not in _FORWARD_TAKES for k, v in kwargs.items()):
        return None
    if any(_setting(model, kwargs, name) not in plain for name, plain in _NOT_PLAIN.items()):
        return None
    ids, mask = given[0][0].to('cpu'), kwargs.get('attention_mask')
    if mask is not None:
        return ids if mask.shape == given[0].shape and bool((mask == 1).all()) else None
    # Without a mask transformers takes ids of padding for padding, unless they end a text too.
    pads, ends = (_ids(_setting(model, kwargs, f'{kind}_token_id')) for kind in ('pad', 'eos'))
    return None if pads - ends and any(bool((ids == pad).any()) for pad in pads) else ids


def _ids(setting) -> set[int]:
    """What generate() takes as one or several ids."""
    if setting is None:
        return set()
    return set(torch.as_tensor(setting).flatten().tolist())


def _setting(model, kwargs: dict, name: str):
    """A setting of generate(), as transformers takes it: from the call, else the config given, else the model's."""
    config = kwargs.get('generation_config') or model.generation_config
    return kwargs.get(name, getattr(config, name, None))
