"""The demo's conversations, without its page."""

from types import SimpleNamespace

import pytest
from airoboros_gptq.airoboros.versions import detect_version
from airoboros_gptq.demo.chat import answer, as_pairs, find_models, for_display, plainformat_spaces
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.generation.streaming import Sampling
from airoboros_gptq.session import ModelSession
from support import PLAIN, TINY

GREEDY = Sampling(temperature=0, repetition_penalty=1)
QUESTION = 'Write a function show_price in python that returns the sum of x and q.'
CODE = '# sum of x and q\ndef show_price(x, q):\n    _out_ = x + q\n    return _out_'


def user(content, **more):
    return {'role': 'user', 'content': content, **more}


def assistant(content):
    return {'role': 'assistant', 'content': content}


@pytest.fixture(scope='module')
def session():
    session = ModelSession()
    session.load(TINY, PLAIN, kernel='reference', device='cpu', dtype='float32')
    return session


def test_an_answer_grows_after_the_question(session):
    first, *growing = answer(session, [user('What is 3 plus 4?')], False, GREEDY)
    assert first == [user('What is 3 plus 4?', plain=False)]
    assert growing[-1] == [*first, assistant('3 plus 4 is 7.')]
    assert len(growing) > 3 and not session.lock.locked()
    *_, last = answer(session, [*growing[-1], user('Add 5 to that.')], False, GREEDY)
    assert last[-1] == assistant('7 plus 5 is 12.')


def test_plainformat_is_bare_code(session):
    *_, last = answer(session, [user(QUESTION)], True, GREEDY)
    assert last == [user(QUESTION, plain=True), assistant(CODE)]
    assert for_display(last) == [user(QUESTION), assistant(f'```\n{CODE}\n```')]


def test_a_model_that_was_not_trained_with_plainformat_is_not_asked_for_it():
    session = SimpleNamespace(airoboros=detect_version(TINY.with_name('airoboros-7b-gpt4-GPTQ'), ''), model='a model')
    assert session.airoboros.version == '1.0' and plainformat_spaces(session) is None
    assert next(answer(session, [user('Hi')], True, GREEDY)) == [user('Hi', plain=False)]
    assert plainformat_spaces(SimpleNamespace(airoboros=None)) is None


def test_without_a_model_there_is_a_sentence():
    with pytest.raises(GPTQError, match='No model is loaded; pick one and press Load'):
        next(answer(ModelSession(), [user('Hi')], False, GREEDY))


@pytest.mark.parametrize('messages', [[], [user('Hi'), assistant('Hello')]])
def test_without_a_question_nothing_changes(messages):
    assert list(answer(ModelSession(), messages, True, GREEDY)) == [messages]


def test_an_answer_that_is_stopped_lets_the_next_load_in(session):
    growing = answer(session, [user(QUESTION)], False, GREEDY)
    next(growing), next(growing)
    assert session.lock.locked()
    growing.close()
    assert not session.lock.locked()


def test_pairs():
    messages = [user('A', plain=True), assistant('1'), user('B', plain=False), assistant('2'), user('C', plain=True)]
    pairs = [('A PLAINFORMAT', '1'), ('B', '2'), ('C PLAINFORMAT', None)]
    assert as_pairs(messages, 1) == pairs


def test_only_plainformat_answers_are_displayed_as_code():
    fenced = assistant('```python\nx = 1\n```')
    messages = [user('A', plain=True), fenced, user('B'), assistant('x = 1')]
    assert for_display(messages) == [user('A'), fenced, user('B'), assistant('x = 1')]


def test_models_are_the_gptq_folders(tmp_path):
    for name in ('a/b-GPTQ', 'a/a-GPTQ', 'b/c-GPTQ', 'b/a-GPTQ'):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / 'quantize_config.json').write_bytes((TINY / 'quantize_config.json').read_bytes())
    (tmp_path / 'a' / 'plain').mkdir()
    (tmp_path / 'a' / 'a.txt').write_text('')
    found = find_models([tmp_path / 'a', tmp_path / 'b'])
    assert list(found) == ['a-GPTQ', 'b-GPTQ', 'c-GPTQ'] and found['a-GPTQ'].parent.name == 'a'
    with pytest.raises(GPTQError, match='plain holds no folder with a GPTQ model'):
        find_models([tmp_path / 'a' / 'plain'])
    for missing in ('nowhere', 'a/a.txt'):
        with pytest.raises(GPTQError, match=r'is not a folder that can be read .*; give the one that holds'):
            find_models([tmp_path / missing])
