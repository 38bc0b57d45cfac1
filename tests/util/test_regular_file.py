"""Reading a stranger's files: regular ones alone, of a bounded size, and JSON in bounded time and memory."""

import os
import socket
import time

import pytest
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.util import regular_file
from airoboros_gptq.util.regular_file import is_present, open_regular, parse_json, read_bytes, read_json

posix = pytest.mark.skipif(os.name != 'posix', reason='only POSIX has these')


def make(kind, path):
    """Puts something that is no file at `path`."""
    if kind == 'folder':
        path.mkdir()
    elif kind == 'FIFO':
        os.mkfifo(path)
    elif kind == 'socket':
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's address may have 100 characters
        try:
            socket.socket(socket.AF_UNIX).bind(path.name)
        finally:
            os.chdir(here)
    else:
        path.symlink_to({'device': '/dev/zero', 'loop': path.name, 'dead link': 'gone'}[kind])


@posix
@pytest.mark.parametrize('kind', ['folder', 'FIFO', 'socket', 'device', 'loop', 'dead link'])
def test_what_is_no_file_is_named_at_once(tmp_path, kind):
    path = tmp_path / 'config.json'
    make(kind, path)
    for read in (is_present, open_regular, read_json, lambda p: read_bytes(p, 10)):
        with pytest.raises(GPTQError, match=r'config\.json (is|cannot be read).*(download|check)'):
            read(path)


def test_nothing_there(tmp_path):
    assert not is_present(tmp_path / 'config.json')
    assert not is_present(tmp_path / ('x' * 5000))
    (tmp_path / 'file').write_bytes(b'x')
    assert not is_present(tmp_path / 'file' / 'config.json')
    with pytest.raises(GPTQError, match=r'config\.json cannot be read \(No such file'):
        read_json(tmp_path / 'config.json')


def test_a_file_of_a_terabyte(tmp_path):
    with open(tmp_path / 'config.json', 'wb') as file:
        file.truncate(2**40)  # sparse: it takes no disk
    with pytest.raises(GPTQError, match=r'config\.json has 1099\.51 GB, more than the 64\.00 MB that such'):
        read_json(tmp_path / 'config.json')


BOMBS = {
    'many lists': b'[' + b'[],' * 20_000_000 + b'1]',
    'many keys': b'{"a":0' + b',"a":{}' * 8_000_000 + b'}',
    'deep lists': b'[' * 10_000_000,
    'deep objects': b'{"a":' * 10_000_000,
    'just too deep': b'[' * 60 + b']' * 60,
    'a long number': b'1' * 10_000_000,
    'a long fraction': b'1e' + b'9' * 10_000_000,
    'escapes': b'"' + b'\\ud800' * 10_000_000 + b'"',
}


@pytest.mark.parametrize('name', BOMBS)
def test_json_bombs_go_off_within_a_second(tmp_path, name):
    (tmp_path / 'config.json').write_bytes(BOMBS[name])
    start = time.process_time()
    with pytest.raises(GPTQError, match=r'config\.json (is not valid JSON|holds a)'):
        read_json(tmp_path / 'config.json')
    assert time.process_time() - start < 2


def test_ordinary_json(tmp_path):
    (tmp_path / 'config.json').write_bytes(b'\xef\xbb\xbf{"a": [1, {"b": null}]}')
    assert read_json(tmp_path / 'config.json') == {'a': [1, {'b': None}]}
    assert parse_json(b'[' * 40 + b']' * 40)


def test_an_index_of_any_real_model_fits():
    entry = b'"model.layers.60.mlp.experts.255.down_proj.qweight": "model-00001-of-00163.safetensors",'
    assert len(entry) * 300_000 < regular_file.MAX_JSON and regular_file.MAX_NODES > 300_000
