"""The demo's engine, without its page: what the menus say reaches facts and loading."""

import pytest
from airoboros_gptq.demo.chat import Engine
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.model import load as core
from support import PLAIN, TINY


@pytest.fixture
def engine(monkeypatch):
    """An engine whose loads are recorded in `given`, and not done."""
    made = Engine(TINY.parent)
    made.given = {}

    def load(folder, **settings):
        made.given.update(settings)
        return 'a model', 'a tokenizer'

    monkeypatch.setattr(core, 'load', load)
    monkeypatch.setattr(core, 'describe_running', lambda model: 'it runs')
    return made


@pytest.mark.parametrize(('menu', 'named', 'other'), [('auto', None, 'gptq_v2'), ('gptq_v2', 'gptq_v2', 'auto')])
def test_the_format_menu(engine, menu, named, other):
    engine.load(TINY.name, PLAIN, 'auto', menu, None)
    assert (engine.given['checkpoint'], engine.given['checkpoint_format']) == (PLAIN, named)
    assert engine.running(engine.facts(TINY.name, PLAIN, menu)) == 'it runs'
    assert engine.running(engine.facts(TINY.name, PLAIN, other)) == ''


def test_a_format_that_there_is_not(engine):
    with pytest.raises(GPTQError, match='There is no checkpoint format v3'):
        engine.load(TINY.name, PLAIN, 'auto', 'v3', None)
