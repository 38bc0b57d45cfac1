"""The meter around generate(): it counts what was generated, however that ends, and changes nothing of it."""

import gc
import weakref

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.generation.throughput import Meter, memory_taken
from support import TINY
from transformers import StoppingCriteria


@pytest.fixture(scope='module')
def loaded():
    return load(TINY, device='cpu', kernel='reference')


@pytest.fixture
def metered(loaded):
    model, tokenizer = loaded
    plain = model.generate
    meter = Meter(model)
    ids = tokenizer('The capital of France', return_tensors='pt').input_ids
    yield model, meter, ids, plain
    model.generate = plain


class _After(StoppingCriteria):
    def __init__(self, tokens, how):
        self.tokens, self.how = tokens, how

    def __call__(self, input_ids, scores, **kwargs):
        self.tokens -= 1
        if self.tokens == 0 and self.how is not None:
            raise self.how
        return torch.full((len(input_ids),), self.tokens == 0)


@pytest.mark.parametrize('call', ['inputs', 'input_ids', 'positional'])
def test_counts_the_tokens_of_an_answer_and_changes_nothing(metered, call):
    model, meter, ids, plain = metered
    assert meter.pace is None
    settings = {'do_sample': False, 'max_new_tokens': 12, 'eos_token_id': None}
    expected = plain(ids, **settings)
    found = model.generate(ids, **settings) if call == 'positional' else model.generate(**{call: ids}, **settings)
    assert torch.equal(found, expected)
    assert meter.pace.tokens == 12
    assert meter.pace.seconds > 0 and meter.pace.per_second == pytest.approx(12 / meter.pace.seconds)
    assert str(meter.pace).endswith(' tokens/s')


@pytest.mark.parametrize('how', [None, RuntimeError('the page was closed')])
def test_counts_up_to_where_it_was_stopped(metered, how):
    model, meter, ids, _ = metered
    stop = {'stopping_criteria': [_After(5, how)], 'max_new_tokens': 50, 'eos_token_id': None, 'do_sample': False}
    if how is None:
        model.generate(ids, **stop)
    else:
        with pytest.raises(RuntimeError, match='closed'):
            model.generate(ids, **stop)
    assert meter.pace.tokens == 5


@pytest.mark.parametrize(
    'settings',
    [{'num_beams': 2}, {'num_return_sequences': 2, 'do_sample': True}, {'prompt_lookup_num_tokens': 4}],
    ids=lambda s: next(iter(s)),
)
def test_other_ways_to_generate(metered, settings):
    model, meter, ids, _ = metered
    out = model.generate(ids, **{'do_sample': False, 'max_new_tokens': 9, 'eos_token_id': None, **settings})
    assert meter.pace.tokens == out.shape[1] - ids.shape[1] == 9


def test_a_metered_model_is_freed():
    model, _ = load(TINY, device='cpu', kernel='reference')
    Meter(model)
    gone = weakref.ref(model.model.embed_tokens.weight)
    gc.collect()
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_memory_is_said_in_words(loaded):
    number, unit, *rest = memory_taken(loaded[0]).split()
    assert float(number) > 0 and unit in ('MB', 'GB') and rest == ['of', 'RAM']
