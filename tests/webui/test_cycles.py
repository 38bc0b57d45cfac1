"""Loading and unloading in a loop, and by --idle-timeout: memory is freed, and the model is loaded again."""

import shutil
import time

import pytest

from . import server as webui_server
from .api import ApiServer
from .conftest import COPY, MODEL, _plain_llama
from .server import TINY
from .test_model_tab import ACT_ORDER, NO_ACT_ORDER

LOADED = f'Loaded "{MODEL}"'
IDLE_SECONDS = 240  # --idle-timeout 1 checks once a minute


@pytest.fixture(scope='module')
def server(make_webui, start):
    webui = make_webui('cycles')
    models = webui_server.data_folder(webui) / 'models'
    shutil.copytree(TINY, models / COPY)
    _plain_llama(models / 'plain-llama')
    flags = ('--nowebui', '--extensions', 'airoboros_gptq', '--idle-timeout', '1')
    server = start(webui, *flags, kind=ApiServer).wait()
    yield server
    server.stop()
    assert 'Traceback' not in server.log()


def test_twenty_loads_and_unloads_leave_memory_where_it_was(server, record_property):
    """Alternating checkpoints, kernels and loaders. After the first round all that stays (code, arenas) is allocated."""
    rounds = [
        (MODEL, {'gptq_checkpoint': NO_ACT_ORDER}),
        (COPY, {'gptq_checkpoint': ACT_ORDER, 'gptq_kernel': 'reference'}),
        ('plain-llama', {}),
        (COPY, {'gptq_checkpoint': ACT_ORDER}),
    ]
    memory = []
    for i in range(24):
        name, options = rounds[i % len(rounds)]
        server.post('/internal/model/load', model_name=name, args=options)
        assert server.loaded() == (name, 'Transformers' if name == 'plain-llama' else 'airoboros-GPTQ')
        if name != 'plain-llama':
            assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
        server.post('/internal/model/unload')
        memory.append(server.memory() / 1e6)
    record_property('rss_mb', [round(m) for m in memory])
    print('RSS in MB after each cycle:', [round(m) for m in memory])
    # From the end of the first round of four to the twenty-fourth cycle; leaking a model of 2.5 MB each time would be
    # 50 MB.
    assert memory[-1] - memory[3] < 25


def test_an_idle_model_is_unloaded_and_loaded_again_by_the_next_message(server):
    server.post('/internal/model/load', model_name=MODEL)
    deadline = time.monotonic() + IDLE_SECONDS
    while 'Unloading the model for inactivity' not in server.log():
        assert time.monotonic() < deadline
        time.sleep(1)
    loads = server.log().count(LOADED)
    assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    assert server.log().count(LOADED) == loads + 1
    assert server.loaded() == (MODEL, 'airoboros-GPTQ')
