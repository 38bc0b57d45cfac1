"""The webui's generation lock, where a reader stalls, goes or comes back, on the stand-in."""

import sys
import threading
import time
from types import SimpleNamespace

import pytest

LOADER = 'airoboros-GPTQ'
SECONDS = 10  # in which the lock must be free


def until(condition) -> bool:
    deadline = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def generate(webui, monkeypatch):
    """generate(replies, **state): the webui's generate_reply, with a model of this loader; its replies are those given."""
    webui.patches.apply()
    guard = sys.modules['airoboros_gptq.webui.reply_guard']
    monkeypatch.setattr(guard, 'STALLED_AFTER', 0.05)
    monkeypatch.setattr(guard, '_CHECK_EVERY', 0.01)
    webui.shared.model = SimpleNamespace(gptq=SimpleNamespace(should_stop=None))
    webui.shared.args.loader = LOADER
    yield lambda replies, **state: webui.text_generation.generate_reply('question', {**state, 'replies': replies})
    webui.patches.undo()


def is_free(webui) -> bool:
    return not webui.shared.generation_lock.locked()


def test_a_reader_that_is_there_gets_every_reply(webui, generate):
    assert list(generate(['a', 'ab', 'abc'])) == ['a', 'ab', 'abc']
    assert is_free(webui)


def test_a_reader_that_stalls_keeps_no_lock_and_loses_nothing(webui, generate):
    replies = generate(['a', 'ab', 'abc'])
    assert next(replies) == 'a'
    assert until(lambda: is_free(webui))
    assert list(replies) == ['abc']


def test_a_reader_that_closes_frees_the_lock_at_once(webui, generate):
    made = []
    replies = generate(made.append(i) or 'a' * i for i in range(1000))
    next(replies)
    replies.close()
    assert is_free(webui)
    assert len(made) == 1


def test_an_error_while_the_reader_was_away_is_raised_to_it(webui, generate):
    def fail():
        yield 'a'
        raise ValueError('of the model')

    replies = generate(fail())
    next(replies)
    assert until(lambda: is_free(webui))
    with pytest.raises(ValueError, match='of the model'):
        next(replies)


def test_with_another_loader_the_webui_is_as_it_was(webui, generate):
    webui.shared.args.loader = 'Transformers'
    stop = threading.Event()
    stop.set()
    replies = generate(['a', 'ab'], stop_event=stop)
    assert next(replies) == 'a'
    time.sleep(0.3)  # several times STALLED_AFTER: nothing may happen, so there is nothing to await
    assert not is_free(webui)
    assert list(replies) == ['ab']


def test_nothing_is_generated_for_a_client_that_has_gone_while_it_waited(webui, generate):
    stop = threading.Event()
    stop.set()
    assert list(generate(iter([pytest.fail]), stop_event=stop)) == ['']
    assert is_free(webui)


def test_the_model_is_told_when_the_client_goes(webui, generate):
    stop, runtime = threading.Event(), webui.shared.model.gptq
    replies = generate(['a', 'ab'], stop_event=stop)
    next(replies)
    should_stop = runtime.should_stop
    assert not should_stop()
    stop.set()
    assert should_stop()
    list(replies)
    assert runtime.should_stop is None
