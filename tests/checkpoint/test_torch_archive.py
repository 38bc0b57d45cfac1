"""Pickles that unpack to more than memory holds, that lie about their size, or that an old torch would run."""

import struct
import time
import zipfile

import pytest
import torch
from airoboros_gptq import GPTQError
from airoboros_gptq.checkpoint import torch_pickle
from airoboros_gptq.checkpoint.quantize_config import is_gptq_folder
from airoboros_gptq.checkpoint.torch_archive import check_archive
from airoboros_gptq.checkpoint.torch_pickle import read_pickle

TENSORS = {'a.qweight': torch.zeros(2, 8).int(), 'a.qzeros': torch.zeros(1, 1).int()}


def bomb(path, method, name='x/data.pkl', size=500_000_000):
    with zipfile.ZipFile(path, 'w', method) as archive, archive.open(name, 'w') as entry:
        for _ in range(size // 10_000_000):
            entry.write(bytes(10_000_000))


def test_what_torch_saves_passes(tmp_path):
    path = tmp_path / 'pytorch_model.bin'
    torch.save(TENSORS, path)
    assert check_archive(path) == path.stat().st_size
    assert set(read_pickle(path).tensors) == set(TENSORS)
    assert is_gptq_folder(tmp_path)


@pytest.mark.parametrize('method', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bombs_are_not_unpacked(tmp_path, method):
    path = tmp_path / 'pytorch_model.bin'
    bomb(path, method, size=100_000_000)
    start = time.process_time()
    assert not is_gptq_folder(tmp_path)
    with pytest.raises(GPTQError, match=r'pytorch_model\.bin holds x/data\.pkl compressed, .*download it again'):
        read_pickle(path)
    assert time.process_time() - start < 1


@pytest.mark.parametrize('method', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_broken_streams_are_no_traceback(tmp_path, method):
    path = tmp_path / 'pytorch_model.bin'
    bomb(path, method, size=10_000_000)
    raw = bytearray(path.read_bytes())
    raw[60:90] = b'\xff' * 30
    path.write_bytes(raw)
    assert not is_gptq_folder(tmp_path)
    with pytest.raises(GPTQError):
        read_pickle(path)


def test_an_index_of_a_million_entries(tmp_path):
    path = tmp_path / 'pytorch_model.bin'
    entry = struct.pack('<4s6H3I5H2I', b'PK\x01\x02', 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b'a'
    directory = entry * 1_000_000
    end = struct.pack('<4s4H2IH', b'PK\x05\x06', 0, 0, 65535, 65535, len(directory), 4, 0)
    path.write_bytes(b'PK\x03\x04' + directory + end)
    start = time.process_time()
    with pytest.raises(GPTQError, match='an index of 47000000 bytes, as no model has'):
        read_pickle(path)
    assert time.process_time() - start < 1


@pytest.mark.parametrize('cut', [1, 5, 30, 0.5])
def test_cut_short(tmp_path, cut):
    path = tmp_path / 'pytorch_model.bin'
    torch.save(TENSORS, path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * cut)] if cut == 0.5 else raw[:-cut])
    with pytest.raises(GPTQError, match=r'has no end|not a whole file'):
        read_pickle(path)


def test_a_tensor_larger_than_its_bytes(tmp_path):
    path = tmp_path / 'pytorch_model.bin'
    torch.save({'a': torch.zeros(1).expand(10**12)}, path)
    with pytest.raises(GPTQError, match='holds a, of more numbers than are in the file'):
        read_pickle(path)


def test_names_that_are_no_text(tmp_path):
    path = tmp_path / 'pytorch_model.bin'
    torch.save({('x', 'y'): torch.zeros(1), 'a': torch.zeros(1)}, path)
    assert set(read_pickle(path).tensors) == {'a'}


@pytest.mark.parametrize('version', ['2.5.1+cu124', '2.0.1', '1.13.1', 'nightly'])
def test_an_old_torch_reads_no_pickle(tmp_path, monkeypatch, version):
    path = tmp_path / 'pytorch_model.bin'
    torch.save(TENSORS, path)
    monkeypatch.setattr(torch, '__version__', version)
    with pytest.raises(GPTQError, match=r'PyTorch .* can run code \(CVE-2025-32434\); use PyTorch 2\.6 or newer, or a'):
        read_pickle(path)


@pytest.mark.parametrize('version', ['2.6.0', '2.10.0+cpu', '3.0.0a0'])
def test_a_newer_torch_does(tmp_path, monkeypatch, version):
    path = tmp_path / 'pytorch_model.bin'
    torch.save(TENSORS, path)
    monkeypatch.setattr(torch_pickle, '_release', lambda _, real=torch_pickle._release: real(version))
    assert read_pickle(path).tensors
