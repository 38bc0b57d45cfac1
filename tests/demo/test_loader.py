"""Loading in the background: steps, one at a time, failures."""

import threading
import time

import pytest
from airoboros_gptq.demo.loader import LoadRequest, ModelLoader
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.session import ModelSession
from support import PLAIN, TINY, copy_tiny


class Session:
    """Stands in for a ModelSession: a load goes on until `end` is set, then raises `error` if that is set."""

    def __init__(self):
        self.lock, self.end = threading.Lock(), threading.Event()
        self.model, self.error, self.loads, self.reported = None, None, 0, threading.Event()

    def load(self, folder, checkpoint, format, *, kernel, progress, step):
        self.loads += 1
        step('importing')
        progress(1, 4)
        self.reported.set()
        assert self.end.wait(30)
        if self.error:
            raise self.error
        self.model = 'a model'

    def unload(self):
        self.model = None


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def loader(session):
    return ModelLoader(session)


REQUEST = LoadRequest(TINY, PLAIN)


def test_a_load_says_how_far_it_is_and_what_it_loaded(loader, session):
    before = loader.state.version
    assert loader.start(REQUEST)
    assert session.reported.wait(30)
    state = loader.state
    assert (state.loading, state.step, state.share, state.request) == (True, 'importing', 0.25, REQUEST)
    assert state.version == before + 1 and loader.loaded is None
    assert not loader.wait(0)
    session.end.set()
    assert loader.wait(30)
    assert (loader.state.loading, loader.loaded, loader.state.version) == (False, REQUEST, before + 2)


def test_one_load_at_a_time_and_no_unload_meanwhile(loader, session):
    loader.start(REQUEST)
    assert not loader.start(LoadRequest(TINY.with_name('other')))
    loader.unload()
    session.end.set()
    assert loader.wait(30)
    assert loader.loaded == REQUEST and session.loads == 1 and session.model


@pytest.mark.parametrize(
    'error, says, traceback',
    [
        (GPTQError('It is broken; download it again.'), 'It is broken; download it again.', False),
        (RuntimeError('the driver'), 'could not be loaded (RuntimeError: the driver)', True),
    ],
)
def test_a_failure_is_a_sentence_and_only_our_faults_reach_the_terminal(
    loader, session, caplog, error, says, traceback
):
    session.error = error
    session.end.set()
    loader.start(REQUEST)
    assert loader.wait(30)
    assert says in loader.state.error and not loader.state.loading and loader.loaded is None
    assert ('Traceback' in caplog.text) == traceback
    session.error = None
    loader.start(REQUEST)
    assert loader.wait(30)
    assert loader.state.error == '' and loader.loaded == REQUEST


def test_a_real_load_names_its_steps(monkeypatch, tmp_path):
    steps = []
    loader = ModelLoader(ModelSession())
    change = loader._change
    monkeypatch.setattr(loader, '_change', lambda **f: (steps.append(f.get('step')), change(**f)))
    loader.start(LoadRequest(TINY, PLAIN, kernel='reference'))
    assert loader.wait(120)
    assert [step for step in steps if step][:1] == ['importing PyTorch and transformers']
    assert [step for step in steps if step][-1] == 'reading the weights'
    folder = copy_tiny(tmp_path / 'broken-GPTQ', PLAIN)
    (folder / PLAIN).write_bytes(b'')
    loader.start(LoadRequest(folder))
    assert loader.wait(60)
    assert 'broken-GPTQ' in loader.state.error
    assert loader.loaded == LoadRequest(TINY, PLAIN, kernel='reference')  # the model that was loaded stays


def test_a_load_waits_for_the_answer_that_is_being_written():
    loader = ModelLoader(ModelSession())
    with loader.session.lock:
        loader.start(LoadRequest(TINY, PLAIN, kernel='reference'))
        deadline = time.monotonic() + 60
        while loader.state.step != 'waiting for the answer that is being written':
            assert time.monotonic() < deadline
        assert not loader.wait(0.2)
    assert loader.wait(120) and loader.loaded
