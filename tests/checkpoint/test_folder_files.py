"""Files that would be waited for or read without end are refused, whatever they are called; ordinary ones are not looked into."""

import os

import pytest
from airoboros_gptq.checkpoint.folder_files import check_files
from airoboros_gptq.errors import GPTQError

posix = pytest.mark.skipif(os.name != 'posix', reason='only POSIX has these')


@posix
@pytest.mark.parametrize('name', ['tokenizer.json', 'anything', 'additional_chat_templates/x.jinja'])
def test_what_is_no_file(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(GPTQError, match=rf'{name} is a FIFO where a file is expected; remove it'):
        check_files(tmp_path)


@pytest.mark.parametrize(
    'name', ['config.json', 'tokenizer.json', 'chat_template.jinja', 'tokenizer.model', 'merges.txt']
)
def test_too_many_bytes(tmp_path, name):
    with open(tmp_path / name, 'wb') as file:
        file.truncate(2**40)
    with pytest.raises(GPTQError, match=rf'{name} has 1099\.51 GB, more than .* that such a file may have; download'):
        check_files(tmp_path)


def test_too_many_values(tmp_path):
    (tmp_path / 'special_tokens_map.json').write_bytes(b'[' + b'[],' * 2_000_000 + b'1]')
    with pytest.raises(GPTQError, match='more than 3,000,000 values, as no model has; download'):
        check_files(tmp_path)
    (tmp_path / 'special_tokens_map.json').rename(tmp_path / 'tokenizer.json')
    check_files(tmp_path)  # a vocabulary has more


@posix
def test_what_is_fine(tmp_path):
    (tmp_path / 'onnx').mkdir()
    (tmp_path / 'gone').symlink_to('nowhere')
    (tmp_path / 'vocab.json').write_text('{"a": 1}')
    with open(tmp_path / 'model.safetensors', 'wb') as file:
        file.truncate(2**40)
    check_files(tmp_path)
