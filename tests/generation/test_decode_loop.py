"""Our loop over the tokens against transformers' own: the same tokens, told to the same listeners."""

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.generation import decode_loop
from airoboros_gptq.generation.runtime import attach
from architectures import FOLDERS, NAMES, build
from loops import both
from support import PLAIN, TINY
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from turn_support import tokens

pytestmark = pytest.mark.skipif(
    not decode_loop.IS_SUPPORTED, reason='this transformers has no place for a loop of ours'
)


@pytest.fixture(scope='module')
def model():
    return load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu', progress=lambda done, total: None)[0]


@pytest.fixture(params=['after', 'ahead'])
def looked(request, monkeypatch):
    """When a token is looked at: after the pass over it has begun, as on a GPU, or before."""
    if request.param == 'ahead':
        monkeypatch.setattr(decode_loop, '_AsyncTokenCopy', Ahead)
    return request.param


class Ahead:
    """As on a GPU, where bringing a token to the CPU takes a while."""

    is_async = True

    def __init__(self, device):
        pass

    def start(self, token):
        self.token = token[0].clone()

    def wait(self):
        return self.token


class Twice(LogitsProcessor):
    """Changes scores in their place and by what was said."""

    def __call__(self, input_ids, scores):
        scores[:, input_ids[0]] += 0.5
        return scores * 1.01


@pytest.mark.parametrize('count', [1, 2, 40])
@pytest.mark.parametrize(
    'settings',
    [
        {},
        {'do_sample': True, 'temperature': 1.7, 'top_k': 40, 'top_p': 0.9},
        {'logits_processor': LogitsProcessorList([Twice()]), 'repetition_penalty': 1.2},
        {'guidance_scale': 1.5},
        {'do_sample': True, 'no_repeat_ngram_size': 2, 'min_new_tokens': 1, 'bad_words_ids': [[5], [9]]},
    ],
    ids=['greedy', 'sampled', 'processors', 'cfg', 'bans'],
)
def test_the_same_tokens_told_to_the_same_listeners(model, looked, settings, count):
    ours, theirs = both(model, tokens(23), max_new_tokens=count, **settings)
    assert ours == theirs
    assert len(ours[2]) == 1 + count  # the prompt, and each token


def test_it_is_ours_that_runs(model, monkeypatch):
    monkeypatch.setattr(type(model), '_sample', None)
    assert model.generate(tokens(5), max_new_tokens=3, do_sample=False, eos_token_id=None).shape[1] == 8


@pytest.mark.parametrize('place', ['cuda:0', 'cpu'])
def test_a_token_is_looked_at_while_the_pass_over_it_runs_where_that_waits(model, looked, place, monkeypatch):
    """The first is of the prompt; over the last token none is begun, and none before its listeners where none is gained."""
    monkeypatch.setattr(model, 'hf_device_map', {'model.layers.0': 'cuda:0', 'model.layers.1': place}, raising=False)
    order = []

    class Hears(StoppingCriteria):
        def __call__(self, input_ids, scores, **kwargs):
            order.append('heard')
            return False

    with model.register_forward_pre_hook(lambda *args: order.append('pass')):
        criteria = StoppingCriteriaList([Hears()])
        model.generate(
            tokens(5), max_new_tokens=3, do_sample=False, eos_token_id=None, pad_token_id=0, stopping_criteria=criteria
        )
    ahead = ['pass', 'pass', 'heard', 'pass', 'heard', 'heard']
    assert order == (ahead if looked == 'ahead' and place != 'cpu' else ['pass', 'heard'] * 3)


def test_it_ends_where_the_text_ends(model, looked):
    prompt = tokens(20)
    (out, *_), _ = both(model, prompt)
    for ends in (out[0][23], [out[0][23], 3]):
        ours, theirs = both(model, prompt, eos_token_id=ends)
        assert ours == theirs
        assert len(ours[0][0]) <= 24


class AtLength(StoppingCriteria):
    def __init__(self, length):
        self.length = length

    def __call__(self, input_ids, scores, **kwargs):
        return torch.full((len(input_ids),), input_ids.shape[1] >= self.length)


def test_a_criterion_of_the_callers_ends_it(model, looked):
    ours, theirs = both(model, tokens(20), stopping_criteria=[AtLength(25)])
    assert ours == theirs
    assert len(ours[0][0]) == 25


def test_a_time_limit_ends_it(model, looked):
    out = model.generate(tokens(20), max_new_tokens=1500, max_time=0.0, do_sample=False, eos_token_id=None)
    assert out.shape[1] == 21


def test_a_turn_that_was_stopped_is_gone_on_from(model, looked):
    """Whether the last token was read already or not, the next turn's answer is that of a fresh computation."""
    settings = {'max_new_tokens': 9, 'do_sample': False, 'eos_token_id': None, 'pad_token_id': 0}
    model.gptq.prompt_cache.clear()
    prompt = tokens(30)
    for _ in range(3):
        out = model.generate(
            prompt, stopping_criteria=StoppingCriteriaList([AtLength(prompt.shape[1] + 4)]), **settings
        )
        prompt = torch.cat((out, tokens(5)), dim=1)
        fresh = GenerationMixin.generate(model, prompt, **settings)
        assert model.generate(prompt, **settings).equal(fresh)


def test_a_processor_that_asks_for_more_is_told_so_by_transformers(model):
    class Greedy(LogitsProcessor):
        def __call__(self, input_ids, scores, more):
            return scores

    with pytest.raises(ValueError, match='more'):
        model.generate(tokens(5), logits_processor=LogitsProcessorList([Greedy()]), max_new_tokens=2)


@pytest.mark.parametrize('name', NAMES)
def test_every_architecture(name):
    model = build(FOLDERS / name)
    attach(model)
    prompt = torch.randint(3, model.config.vocab_size, (1, 17))
    ours, theirs = both(model, prompt, do_sample=True, temperature=1.3)
    assert ours == theirs


def test_more_tokens_than_the_buffer_was_made_for(model):
    """It has capacity for 512 new ones to begin with."""
    prompt = tokens(9)
    out = model.generate(prompt, max_new_tokens=560, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert out.shape == (1, 569) and out[:, :9].equal(prompt)
    with torch.inference_mode():
        greedy = model(out).logits[0, :-1].argmax(-1)
    assert out[0, 9:].equal(greedy[8:])
