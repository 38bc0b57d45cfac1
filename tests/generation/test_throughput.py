"""Throughput counts the tokens of every generate(), however it ends, and changes nothing of it."""

import pytest
import torch
from airoboros_gptq import load
from support import TINY
from transformers import GenerationMixin, StoppingCriteria


@pytest.fixture(scope='module')
def loaded():
    return load(TINY, device='cpu', kernel='reference')


@pytest.fixture
def prompt(loaded):
    """(model, ids of a prompt), before its first answer."""
    model, tokenizer = loaded
    model.gptq._record = None
    return model, tokenizer('The capital of France', return_tensors='pt').input_ids


class _After(StoppingCriteria):
    def __init__(self, tokens, how):
        self.tokens, self.how = tokens, how

    def __call__(self, input_ids, scores, **kwargs):
        self.tokens -= 1
        if self.tokens == 0 and self.how is not None:
            raise self.how
        return torch.full((len(input_ids),), self.tokens == 0)


@pytest.mark.parametrize('call', ['inputs', 'input_ids', 'positional'])
def test_counts_the_tokens_of_an_answer_and_changes_nothing(prompt, call):
    model, ids = prompt
    assert model.gptq.throughput is None
    settings = {'do_sample': False, 'max_new_tokens': 12, 'eos_token_id': None}
    expected = GenerationMixin.generate(model, ids, **settings)
    found = model.generate(ids, **settings) if call == 'positional' else model.generate(**{call: ids}, **settings)
    assert torch.equal(found, expected)
    throughput = model.gptq.throughput
    assert throughput.tokens == 12
    assert throughput.seconds > 0 and throughput.per_second == pytest.approx(12 / throughput.seconds)
    assert str(throughput).endswith(' tokens/s')


@pytest.mark.parametrize('how', [None, RuntimeError('the page was closed')])
def test_counts_up_to_where_it_was_stopped(prompt, how):
    model, ids = prompt
    stop = {'stopping_criteria': [_After(5, how)], 'max_new_tokens': 50, 'eos_token_id': None, 'do_sample': False}
    if how is None:
        model.generate(ids, **stop)
    else:
        with pytest.raises(RuntimeError, match='closed'):
            model.generate(ids, **stop)
    assert model.gptq.throughput.tokens == 5


@pytest.mark.parametrize(
    'settings',
    [
        {'num_beams': 2},
        {'num_return_sequences': 2, 'do_sample': True},
        {
            'prompt_lookup_num_tokens': 4,
            'eos_token_id': 2,
            'min_new_tokens': 9,
        },  # transformers before 5.24 needs an end for it
    ],
    ids=lambda s: next(iter(s)),
)
def test_other_ways_to_generate(prompt, settings):
    model, ids = prompt
    out = model.generate(ids, **{'do_sample': False, 'max_new_tokens': 9, 'eos_token_id': None, **settings})
    assert model.gptq.throughput.tokens == out.shape[1] - ids.shape[1] == 9


def test_memory_is_said_in_words(loaded):
    what, number, unit = loaded[0].gptq.memory_used.split()
    assert float(number) > 0 and unit in ('MB', 'GB') and what == 'process:'
