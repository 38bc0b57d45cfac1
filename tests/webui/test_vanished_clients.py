"""Clients of the API that stop reading or vanish, and what the next client notices: nothing, within seconds."""

import shutil
import socket
import time
from pathlib import Path

import pytest
from soak import LONG_ANSWER, Api, chat_body, vanish

from .api import ApiServer
from .conftest import MODEL

SECONDS = 10  # in which the next client must have its answer
# Makes its tokens for 20 s and more: no answer within SECONDS is one for which this one has ended by itself.
LONG = {**LONG_ANSWER, 'max_tokens': 1500}
CHAT, COMPLETIONS = '/chat/completions', '/completions'
BODIES = {
    CHAT: chat_body('Who are you?', **LONG),
    COMPLETIONS: {'prompt': 'USER: Who are you? ASSISTANT: ', 'temperature': 0, **LONG},
}


@pytest.fixture(scope='module')
def server(make_webui, start):
    webui = make_webui('vanished')
    extension = webui / 'extensions' / 'slow_client'
    extension.mkdir()
    shutil.copy(Path(__file__).parent / 'slow_client.py', extension / 'script.py')
    server = start(webui, '--nowebui', '--extensions', 'airoboros_gptq', 'slow_client', kind=ApiServer).wait()
    server.post('/internal/model/load', model_name=MODEL)
    yield server
    server.stop()
    assert 'Traceback' not in server.log()


@pytest.fixture
def api(server):
    return Api(server.api)


@pytest.fixture
def hold(server):
    """A stream is held while the third chunk after its first is sent: the lock is taken, the generator at its yield."""
    file = server.webui / 'hold'
    file.touch()
    yield
    file.unlink()


def next_client_waits(server) -> float:
    """Seconds until another client has its answer."""
    begun = time.monotonic()
    assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    return time.monotonic() - begun


@pytest.mark.parametrize('path', [CHAT, COMPLETIONS])
def test_a_client_that_goes_while_its_stream_stands_at_a_yield(server, api, hold, path):
    assert api.stream(path, BODIES[path], chunks=4) is None
    assert next_client_waits(server) < SECONDS


@pytest.mark.parametrize('path', [CHAT, COMPLETIONS])
@pytest.mark.parametrize('chunks', [0, 1, 10], ids=['before a token', 'at the first', 'between tokens'])
def test_a_client_that_goes_in_the_midst_of_its_stream(server, api, path, chunks):
    assert api.stream(path, BODIES[path], chunks=chunks) is None
    assert next_client_waits(server) < SECONDS


@pytest.mark.parametrize('path', [CHAT, COMPLETIONS])
@pytest.mark.parametrize('stream', [True, False], ids=['streaming', 'blocking'])
def test_a_client_that_goes_during_the_prompt_without_having_read(server, api, path, stream):
    connection = api.send('POST', path, {**BODIES[path], 'stream': stream})
    time.sleep(0.05)  # on its way
    vanish(connection)
    assert next_client_waits(server) < SECONDS


@pytest.mark.parametrize('stream', [True, False], ids=['streaming', 'blocking'])
def test_clients_that_go_while_they_wait_for_another(server, api, stream):
    first = api.send('POST', CHAT, {**BODIES[CHAT], 'stream': True})
    first.getresponse().readline()
    waiting = [api.send('POST', CHAT, {**BODIES[CHAT], 'stream': stream}) for _ in range(3)]
    time.sleep(0.3)
    for connection in (*waiting, first):
        vanish(connection)
    assert next_client_waits(server) < SECONDS


def test_a_client_that_stays_and_reads_no_more(server, api, hold):
    """Its answer is made to the end meanwhile, and no other waits for longer than that takes."""
    body = chat_body('Who are you?', max_tokens=100, ban_eos_token=True)
    connection = api.send('POST', CHAT, {**body, 'stream': True})
    response = connection.getresponse()
    while b'"content": ' not in response.readline():
        pass
    assert next_client_waits(server) < SECONDS
    vanish(connection)


def test_a_port_that_is_scanned_costs_nothing(server):
    with socket.create_connection(('127.0.0.1', server.api_port)):
        assert next_client_waits(server) < SECONDS


WRONG = [['x'], {'a': 1}, 7, 0.5, True]


@pytest.mark.parametrize('name', ['gptq_checkpoint', 'gptq_kernel', 'gptq_format'])
@pytest.mark.parametrize('value', WRONG, ids=repr)
def test_a_load_with_a_wrong_type_is_refused_in_one_sentence(server, api, name, value):
    status, said = api.call('POST', '/internal/model/load', {'model_name': MODEL, 'args': {name: value}})
    assert status == 500
    assert said == {'detail': f'{name} must be text, not {value!r}.'}
    assert server.get('/internal/model/info')['model_name'] == 'None'


def test_a_load_that_fails_is_told_and_the_next_one_works(server, api):
    status, said = api.call('POST', '/internal/model/load', {'model_name': MODEL, 'args': {'gptq_kernel': 'no-such'}})
    assert status == 500 and 'There is no kernel no-such' in said['detail']
    assert server.get('/internal/model/info')['model_name'] == 'None'
    options = {'gptq_checkpoint': None, 'gptq_kernel': None, 'gptq_format': None}  # null: not given
    server.post('/internal/model/load', model_name=MODEL, args=options)
    assert server.loaded() == (MODEL, 'airoboros-GPTQ')
    assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
