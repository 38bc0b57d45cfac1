"""generate() that continues from the KV cache of an earlier turn.

The seam is `generate` itself, on the one loaded model: it is what the webui, the demo, the command line, peft and scripts call.
Whatever is not one plain sequence, greedy or sampled, goes to transformers as it came.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ..util.torch_errors import is_out_of_memory
from .decode_loop import custom_generate_kwargs
from .kv_cache import cache_name, make_cache
from .prompt_cache import PromptCache
from .throughput import GenerationRecord
from .weights_fingerprint import WeightsFingerprint

# Settings of generate() under which there is more than one sequence, another cache, or another way of decoding.
_PLAIN_SETTINGS = {
    **{name: (None, 1) for name in ('num_beams', 'num_beam_groups', 'num_return_sequences')},
    **{name: (None, False) for name in ('return_dict_in_generate', 'token_healing', 'synced_gpus', 'use_mtp')},
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
_FORWARD_ARGUMENTS = (
    *('input_ids', 'attention_mask', 'use_cache', 'output_attentions', 'output_hidden_states', 'return_dict'),
)
_EXPECTED_ANSWER = 512  # tokens to make room for where the caller allows more


def cached_generate(
    model,
    transformers_generate: Callable,
    prompt_cache: PromptCache,
    on_start: Callable[[GenerationRecord], None],
    args: tuple,
    kwargs: dict,
    should_stop: Callable[[], bool] | None = None,
):
    """transformers' generate(), with a cache of `prompt_cache` and the shorter decode loop where the call is plain.

    `on_start` is handed the record of the tokens as they come. A generation ends early once `should_stop` says so. Raises
    what transformers_generate raises.
    """
    prompt = next((ids for ids in (*args[:1], kwargs.get('inputs'), kwargs.get('input_ids')) if ids is not None), None)
    record = GenerationRecord(prompt.shape[-1] if isinstance(prompt, torch.Tensor) else 0)
    on_start(record)
    ids = cacheable_prompt(model, args, kwargs)
    if len(args) < 4:  # else the fourth is the list of criteria: that call is not recorded
        own = [record] if should_stop is None else [record, _StopWhen(should_stop)]
        kwargs['stopping_criteria'] = StoppingCriteriaList([*own, *(kwargs.get('stopping_criteria') or ())])
    if ids is None:
        return transformers_generate(model, *args, **kwargs)
    state = WeightsFingerprint(model)
    reserve = min([_EXPECTED_ANSWER, *filter(None, _settings(model, kwargs, 'max_new_tokens'))])
    cache = prompt_cache.acquire(ids, state, reserve)
    if cache is None:
        cache = make_cache(model, len(ids) + reserve)
    if cache is None:
        return transformers_generate(model, *args, **kwargs)
    try:
        # transformers keeps a tokenizer from a call with a function of its own, and stop strings cannot do without one.
        needs_tokenizer = any(_settings(model, kwargs, 'stop_strings'))
        loop = {} if needs_tokenizer else custom_generate_kwargs(kwargs.get('streamer'))
        return transformers_generate(model, *args, **kwargs, **{cache_name(type(model)): cache}, **loop)
    except Exception as e:
        if is_out_of_memory(e):
            prompt_cache.clear()  # their memory is free for the next attempt
        raise
    finally:
        if state == WeightsFingerprint(model):
            held = ids if record.ids is None else record.ids[0].to('cpu')
            prompt_cache.release(held, cache, state)


class _StopWhen(StoppingCriteria):
    """Ends a generation once a condition is met."""

    def __init__(self, condition: Callable[[], bool]):
        self._condition = condition

    def __call__(self, input_ids: torch.Tensor, scores, **kwargs) -> torch.Tensor:
        """input_ids [batch, length] -> bool [batch]."""
        return torch.full((len(input_ids),), self._condition(), dtype=torch.bool, device=input_ids.device)


def cacheable_prompt(model, args: tuple, kwargs: dict) -> torch.Tensor | None:
    """The prompt's ids [n], on the CPU, where a call of generate() is for one sequence without padding, greedy or sampled,
    from ids alone; None for any other.
    """
    if len(args) > 1 or model.training or _prepares_inputs_otherwise(model):
        return None
    prompts = [ids for ids in (*args, kwargs.get('inputs'), kwargs.get('input_ids')) if ids is not None]
    if len(prompts) != 1 or not _is_one_sequence(prompts[0]):
        return None
    forward_arguments = inspect.signature(type(model).forward).parameters
    if any(v is not None and k in forward_arguments and k not in _FORWARD_ARGUMENTS for k, v in kwargs.items()):
        return None
    if any(value not in plain for name, plain in _PLAIN_SETTINGS.items() for value in _settings(model, kwargs, name)):
        return None
    ids = prompts[0][0].to('cpu')
    mask = kwargs.get('attention_mask')
    if mask is not None:
        return ids if mask.shape == prompts[0].shape and bool((mask == 1).all()) else None
    # Without a mask transformers takes padding ids for padding, unless they are end ids too.
    pads = set[int]().union(*map(_as_set, _settings(model, kwargs, 'pad_token_id')))
    ends = set[int].intersection(*map(_as_set, _settings(model, kwargs, 'eos_token_id')))
    return None if any(bool((ids == pad).any()) for pad in pads - ends) else ids


def _prepares_inputs_otherwise(model) -> bool:
    """Whether another library, as peft for a prompt or prefix that it learned, gave this model its own method for what goes
    into each forward pass. The decode loop has no such step.
    """
    own = vars(model).get('prepare_inputs_for_generation')
    return own is not None and getattr(own, '__func__', None) is not type(model).prepare_inputs_for_generation


def _is_one_sequence(ids) -> bool:
    """Whether it is a tensor of ids [1, n], n from 1."""
    return (
        isinstance(ids, torch.Tensor)
        and ids.dim() == 2
        and not ids.is_floating_point()
        and ids.shape[0] == 1
        and ids.shape[1] > 0
    )


def _as_set(setting) -> set[int]:
    """What generate() takes as one or several ids."""
    return set() if setting is None else set(torch.as_tensor(setting).flatten().tolist())


def _settings(model, kwargs: dict, name: str) -> list:
    """The values that a setting of generate() may have: the call's, else that of the config given and the model's. Where a
    config leaves a setting out, transformers takes the model's, by rules that differ between versions.
    """
    if name in kwargs:
        return [kwargs[name]]
    configs = (kwargs.get('generation_config'), model.generation_config)
    return [getattr(config, name, None) for config in configs if config is not None]
