"""The header reader against the safetensors library, and on files that are not whole."""

import json
import struct

import pytest
from airoboros_gptq.checkpoint.safetensors_header import read_header, read_int32
from airoboros_gptq.checkpoint.tensor_info import tensor_bytes
from airoboros_gptq.errors import GPTQError
from support import ACT_ORDER, PLAIN, TINY, write_safetensors

FLOATS = {'w': ('F32', (2, 3), bytes(24)), 'b': ('F16', (3,), bytes(6))}


@pytest.mark.parametrize('name', [PLAIN, ACT_ORDER])
def test_agrees_with_the_library(name):
    from safetensors import safe_open

    header = read_header(TINY / name)
    with safe_open(TINY / name, framework='pt') as library:
        assert sorted(header.tensors) == sorted(library.keys())
        for tensor, info in header.tensors.items():
            found = library.get_tensor(tensor)
            assert info.shape == tuple(found.shape)
            assert tensor_bytes(info) == info.end - info.begin == found.nbytes
            if tensor.endswith('.g_idx'):
                assert read_int32(header, tensor).tolist() == found.tolist()
    assert header.size == (TINY / name).stat().st_size


def raises(path, pattern):
    with pytest.raises(GPTQError, match=pattern) as e:
        read_header(path)
    assert str(path) in str(e.value) and '\n' not in str(e.value)


@pytest.mark.parametrize('cut', [1, 10, 29])
def test_truncated_tensors(tmp_path, cut):
    path = write_safetensors(tmp_path / 'm.safetensors', FLOATS)
    path.write_bytes(path.read_bytes()[:-cut])
    raises(path, 'interrupted; download it again')


def test_truncated_header(tmp_path):
    path = write_safetensors(tmp_path / 'm.safetensors', FLOATS)
    path.write_bytes(path.read_bytes()[:40])
    raises(path, 'ends inside its header.*download it again')


def test_git_lfs_pointer(tmp_path):
    path = tmp_path / 'm.safetensors'
    path.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4520000000\n')
    raises(path, 'Git LFS pointer.*download the file again')


@pytest.mark.parametrize(
    'content', [b'', b'short', b'<!DOCTYPE html><html>', struct.pack('<Q', 2**40), b'\xff' * 64], ids=repr
)
def test_not_safetensors_at_all(tmp_path, content):
    path = tmp_path / 'm.safetensors'
    path.write_bytes(content)
    raises(path, 'not a safetensors file; download it again')


@pytest.mark.parametrize(
    'entries',
    [
        '{"w": ',
        '[]',
        '{"w": 3}',
        '{"w": {"dtype": "F32", "shape": [1]}}',
        '{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}',
        '{"w": {"dtype": "F32", "shape": [1], "data_offsets": ["0", "4"]}}',
        '{"w": {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]}}',
        '{"w": {"dtype": 32, "shape": [1], "data_offsets": [0, 4]}}',
        '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
        '{"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        '{"w": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
        '{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0.0, 4.0]}}',
        '{"w": {"dtype": "F4", "shape": [1], "data_offsets": [0, 999999999999999999999]}}',
        '{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "w": null}',
    ],
)
def test_broken_headers(tmp_path, entries):
    path = tmp_path / 'm.safetensors'
    path.write_bytes(struct.pack('<Q', len(entries)) + entries.encode() + bytes(4))
    raises(path, 'broken safetensors header; download it again')


def test_a_number_that_python_does_not_convert(tmp_path):
    raw = b'{"w": {"dtype": "F4", "shape": [1], "data_offsets": [0, ' + b'9' * 5000 + b']}}'
    path = tmp_path / 'm.safetensors'
    path.write_bytes(struct.pack('<Q', len(raw)) + raw + bytes(4))
    raises(path, 'broken safetensors header; download it again')


def test_overlapping_tensors(tmp_path):
    entry = '{"dtype": "F32", "shape": [2], "data_offsets": [%d, %d]}'
    raw = f'{{"v": {entry % (0, 8)}, "w": {entry % (4, 12)}}}'.encode()
    path = tmp_path / 'm.safetensors'
    path.write_bytes(struct.pack('<Q', len(raw)) + raw + bytes(12))
    raises(path, 'v and w in the same bytes: .*download it again')


def test_absent(tmp_path):
    raises(tmp_path / 'absent.safetensors', 'cannot be read')


def test_dtypes_not_listed_are_no_fault(tmp_path):
    """Formats grow (F8 came late); what we do not read must not keep a file from being listed."""
    path = write_safetensors(tmp_path / 'm.safetensors', {'x': ('F4', (2, 2), bytes(2)), 'y': ('BOOL', (3,), bytes(3))})
    assert set(read_header(path).tensors) == {'x', 'y'}


def test_metadata_is_not_a_tensor(tmp_path):
    raw = json.dumps({'__metadata__': {'format': 'pt'}}).encode()
    path = tmp_path / 'm.safetensors'
    path.write_bytes(struct.pack('<Q', len(raw)) + raw)
    assert read_header(path).tensors == {}


@pytest.mark.parametrize('dtype', ['I8', 'U8', 'BOOL'])
def test_one_byte_a_number(tmp_path, dtype):
    assert read_header(write_safetensors(tmp_path / 'a.safetensors', {'w': (dtype, (4,), bytes(4))})).tensors
    raises(write_safetensors(tmp_path / 'b.safetensors', {'w': (dtype, (4,), bytes(8))}), 'broken safetensors header')
