"""stream(): answers grow, stop when told, and failures come out where they are read."""

import contextlib
import threading
from itertools import pairwise

import pytest
import torch
from airoboros_gptq.airoboros.conversation import conversation_prompt, render
from airoboros_gptq.generation.streaming import WORKER, Sampling, stream
from support import PLAIN, copy_tiny, corpus, edit_json, greedy

CODE = 'Write a function get_total in python that returns the sum of a and b.'
PROMPT = render([(f'{CODE}  PLAINFORMAT', None)])
GREEDY = Sampling(temperature=0, repetition_penalty=1.0, max_new_tokens=120)


@pytest.fixture(scope='module')
def tiny(load_tiny):
    return load_tiny(PLAIN, 'torch-int4')


def workers():
    return [thread for thread in threading.enumerate() if thread.name == WORKER]


def test_a_worker_is_there_while_an_answer_grows(tiny):
    answers = stream(*tiny, PROMPT, GREEDY)
    next(answers)
    assert len(workers()) == 1
    answers.close()
    assert not workers()


def test_grows_to_the_whole_answer_with_its_indentation(tiny):
    seen = list(stream(*tiny, PROMPT, GREEDY))
    assert len(seen) > 10
    for before, after in pairwise(seen):
        assert after.startswith(before)
    words = {'name': 'get_total', 'operation': 'sum', 'sign': '+', 'a': 'a', 'b': 'b'}
    assert seen[-1] == corpus().CODE['python'].format(**words)
    assert seen[-1] == greedy(*tiny, PROMPT)
    assert '\n    _out_ = a + b\n    return _out_' in seen[-1]


@contextlib.contextmanager
def paused(model, after):
    """The model stands still after so many steps, until the event that this hands out is set. Its list has an item a step."""
    go_on, steps = threading.Event(), []

    def hook(*_):
        steps.append(1)
        if len(steps) >= after:
            assert go_on.wait(60)

    handle = model.register_forward_hook(hook)
    try:
        yield go_on, steps
    finally:
        go_on.set()
        handle.remove()


def test_closing_early_stops_the_model(tiny):
    with paused(tiny[0], after=5) as (go_on, steps):
        answers = stream(*tiny, PROMPT, GREEDY, go_on)
        next(answers)
        assert not go_on.is_set()
        answers.close()  # sets the event
        assert not workers()  # so nothing can make another step
        assert len(steps) <= 6


def test_a_stop_event_stops_it(tiny):
    with paused(tiny[0], after=5) as (go_on, steps):
        seen = []
        for text in stream(*tiny, PROMPT, GREEDY, go_on):
            seen.append(text)
            go_on.set()
        assert not workers()
        assert len(steps) <= 6
    assert len(seen[-1]) < len(greedy(*tiny, PROMPT))


def test_an_exception_of_the_model_is_raised(tiny, monkeypatch):
    def fail(*args, **kwargs):
        raise torch.OutOfMemoryError('no memory left')

    monkeypatch.setattr(tiny[0], 'forward', fail)
    with pytest.raises(torch.OutOfMemoryError, match='no memory left'):
        list(stream(*tiny, PROMPT, GREEDY))
    assert not workers()


def test_max_new_tokens(tiny):
    text = list(stream(*tiny, PROMPT, Sampling(0, 1, 1.0, max_new_tokens=5)))[-1]
    assert 0 < len(tiny[1](text, add_special_tokens=False).input_ids) <= 5


def test_a_seed_repeats_and_another_differs(tiny):
    def answer(seed):
        sampling = Sampling(temperature=3.0, top_p=1.0, repetition_penalty=1.0, max_new_tokens=30, seed=seed)
        return list(stream(*tiny, PROMPT, sampling))[-1]

    assert answer(1) == answer(1)
    assert len({answer(seed) for seed in range(4)}) == 4


def test_defaults_are_the_card_s():
    assert Sampling() == Sampling(0.7, 0.95, 1.15, 512, None)


def test_another_model_s_chat_template_brings_its_own_bos(tiny, tmp_path):
    """Airoboros's prompt leaves `<s>` to the tokenizer; a Llama-2 template writes it. Either way there is one."""
    from airoboros_gptq.model.tokenizer import load_tokenizer

    folder = copy_tiny(tmp_path / 'llama-2')
    edit_json(
        folder / 'tokenizer_config.json',
        chat_template='{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}',
    )
    tokenizer = load_tokenizer(folder)
    turns = [('a', 'b'), ('c', None)]
    prompt = conversation_prompt(tokenizer, turns, 'S', airoboros=None)
    assert prompt == '<s>[system] S[user] a[assistant] b[user] c'
    assert conversation_prompt(tokenizer, turns, 'S') == render(turns, 'S')

    seen = []
    hook = tiny[0].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs['input_ids'].tolist()), with_kwargs=True
    )
    try:
        for text in (prompt, render(turns)):
            list(stream(tiny[0], tokenizer, text, Sampling(0, 1, 1.0, max_new_tokens=1)))
    finally:
        hook.remove()
    assert [ids[0].count(1) for ids in seen] == [1, 1]
