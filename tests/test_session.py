"""ModelSession: summaries of folders, and the one model that is loaded."""

import gc
from types import SimpleNamespace

import pytest
from airoboros_gptq import session as session_module
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.generation.throughput import Throughput
from airoboros_gptq.model import load as model_load
from airoboros_gptq.session import ModelSession, detect_folder_version
from support import ACT_ORDER, PLAIN, TINY, cpu_kernel, edit_json, greedy


class Model:
    """Stands in for a loaded model."""

    def __init__(self):
        self.gptq = SimpleNamespace(description='it runs', throughput=None, memory_used='process: 1 B')


@pytest.fixture
def given(monkeypatch):
    """What each load was given; the loads themselves are not done, and return a Model."""
    given = []

    def load(summary, **options):
        given.append({'summary': summary, **options})
        return Model(), 'a tokenizer'

    monkeypatch.setattr(model_load, 'load', load)
    return given


@pytest.fixture
def reads(monkeypatch):
    """The folders whose headers were read, one entry for each time."""
    reads, read_summary = [], session_module.read_summary

    def counting(folder, *args, **kwargs):
        reads.append(folder)
        return read_summary(folder, *args, **kwargs)

    monkeypatch.setattr(session_module, 'read_summary', counting)
    return reads


def test_a_folder_is_read_again_only_after_it_has_changed(tiny_copy, reads):
    session = ModelSession()
    assert session.summary(tiny_copy).quantization.config_mismatches == []
    session.summary(tiny_copy, PLAIN, 'auto')  # what a menu says of the same file
    assert len(reads) == 1
    edit_json(tiny_copy / 'quantize_config.json', bits=8)
    assert 'says bits is 8' in session.summary(tiny_copy).quantization.config_mismatches[0]
    session.summary(tiny_copy)
    assert len(reads) == 2


def test_sessions_do_not_share_summaries(tiny_copy, reads):
    ModelSession().summary(tiny_copy)
    ModelSession().summary(tiny_copy)
    assert len(reads) == 2


def test_a_summary_has_the_memory_that_is_free_now(tiny_copy, monkeypatch):
    from airoboros_gptq.preflight import folder_summary

    session = ModelSession()
    for free in (10, 20):
        monkeypatch.setattr(folder_summary, 'free_memory', lambda device, free=free: free)
        assert session.summary(tiny_copy, device='cpu').memory.free == free


def test_no_folder_is_a_sentence(tmp_path):
    with pytest.raises(GPTQError, match='nowhere'):
        ModelSession().summary(tmp_path / 'nowhere')


@pytest.mark.parametrize(('menu', 'named', 'other'), [('auto', None, 'gptq_v2'), ('gptq_v2', 'gptq_v2', 'auto')])
def test_what_the_menus_say_reaches_the_load(given, menu, named, other):
    session = ModelSession()
    session.load(TINY, PLAIN, menu, kernel='reference', device='cpu', dtype='bfloat16')
    [options] = given
    summary = options.pop('summary')
    assert (summary.folder, summary.checkpoint.name) == (TINY, PLAIN)
    assert summary.quantization.checkpoint_format == (named or 'gptq')
    assert options == {'kernel': 'reference', 'device': 'cpu', 'dtype': 'bfloat16'}
    assert session.running == 'it runs'
    assert session.running_as(session.summary(TINY, PLAIN, menu)) == 'it runs'
    assert session.running_as(session.summary(TINY, PLAIN, other)) == ''
    assert session.running_as(session.summary(TINY, ACT_ORDER, menu)) == ''
    assert session.airoboros.version == '1.2'


def test_a_session_that_owns_its_model_keeps_it_until_unload(given):
    session = ModelSession()
    session.load(TINY)
    gc.collect()
    assert isinstance(session.model, Model) and session.tokenizer == 'a tokenizer'
    assert session.memory_used == 'process: 1 B'
    session.unload()
    assert session.model is session.tokenizer is session.airoboros is None
    assert (session.running, session.throughput, session.memory_used) == ('', '', '')


def test_a_session_without_ownership_lets_the_model_go(given):
    session = ModelSession(owns_model=False)
    model, tokenizer = session.load(TINY)
    assert session.model is model and tokenizer == 'a tokenizer' and session.tokenizer is None
    assert session.running == 'it runs'
    del model
    gc.collect()
    assert session.model is None and session.running == '' and session.memory_used == ''


def test_a_folder_that_cannot_be_read_leaves_the_loaded_model(given, tmp_path):
    session = ModelSession()
    model, _ = session.load(TINY)
    with pytest.raises(GPTQError):
        session.load(tmp_path / 'nowhere')
    with pytest.raises(GPTQError, match='There is no checkpoint format v3'):
        session.load(TINY, PLAIN, 'v3')
    assert session.model is model


def test_a_load_that_fails_leaves_no_model(given, monkeypatch):
    session = ModelSession()
    session.load(TINY)

    def fail(folder, **options):
        raise GPTQError('It is too large.')

    monkeypatch.setattr(model_load, 'load', fail)
    with pytest.raises(GPTQError, match='too large'):
        session.load(TINY)
    assert session.model is None and session.running == ''
    assert not session.lock.locked()


def test_throughput_is_that_of_the_last_answer(given):
    session = ModelSession()
    session.load(TINY)
    assert session.throughput == ''
    session.model.gptq.throughput = Throughput(30, 4.0)
    assert session.throughput == '7.5 tokens/s'


def test_a_real_model():
    session = ModelSession()
    model, tokenizer = session.load(TINY, kernel='reference', device='cpu', dtype='float32')
    assert session.running == 'reference on cpu, float32'
    assert session.throughput == ''
    assert greedy(model, tokenizer, session.airoboros.format.render([('What is 3 plus 4?', None)])) == '3 plus 4 is 7.'
    number, unit = session.throughput.split()
    assert float(number) > 0 and unit == 'tokens/s'
    assert session.memory_used.startswith('process: ')
    assert cpu_kernel() not in session.running


def test_detect_folder_version(tiny_copy, tmp_path):
    assert detect_folder_version(tiny_copy).version == '1.2'
    (tiny_copy / 'config.json').write_text('{')  # the folder's name is enough
    assert detect_folder_version(tiny_copy).version == '1.2'
    other = tiny_copy.rename(tmp_path / 'some-other-GPTQ')
    assert detect_folder_version(other) is None
    (other / 'config.json').write_text('{"_name_or_path": "jondurbin/airoboros-13b-gpt4-1.4"}')
    assert detect_folder_version(other).version == '1.4'
