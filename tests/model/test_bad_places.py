"""Places that cannot be read, that lead nowhere or have odd names, full disks, and memory that runs out."""

import errno
import os
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from airoboros_gptq import GPTQError, load
from support import PLAIN, edit_json


def fails(folder, pattern):
    with pytest.raises(GPTQError, match=pattern) as e:
        load(folder, device='cpu')
    assert '\n' not in str(e.value)
    return e.value


@pytest.mark.parametrize('name', ['my models', 'модели 模型 😀', 'a#b%20c', "it's [1]", '\u3000'])
def test_names_of_all_kinds(tiny_copy, name):
    folder = tiny_copy.rename(tiny_copy.parent / name)
    load(folder, device='cpu')
    load(str(folder), device='cpu')
    (folder / 'config.json').unlink()
    assert str(folder) in str(fails(folder, r'no config\.json'))


def test_an_empty_folder(tmp_path):
    fails(tmp_path, r'holds no \.safetensors file, nor a \.bin or \.pt; download the model again')


def test_a_link_to_itself(tmp_path):
    (tmp_path / 'model').symlink_to('model')
    fails(tmp_path / 'model', 'is a symbolic link that leads to no folder; correct')


def test_a_name_too_long(tmp_path):
    fails(tmp_path / ('x' * 5000), 'cannot be read .*check the path')


def test_the_home_of_nobody():
    fails('~no-such-person/model', 'check the path')


@pytest.mark.parametrize('base', ['../other/model', '/etc/passwd', '..', 'a/../model\0'])
def test_a_base_name_outside_the_folder_is_passed_over(tiny_copy, base):
    edit_json(tiny_copy / 'quantize_config.json', model_file_base_name=base)
    shutil.copytree(tiny_copy, tiny_copy.parent / 'other')
    (tiny_copy.parent / 'other' / PLAIN).rename(tiny_copy.parent / 'other' / 'model.safetensors')
    load(tiny_copy, device='cpu')
    (tiny_copy / PLAIN).unlink()
    fails(tiny_copy, r'holds no \.safetensors file')


def test_a_link_to_a_folder_is_no_fault(tiny_copy):
    link = tiny_copy.parent / 'link'
    link.symlink_to(tiny_copy)
    load(link, device='cpu')


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may read whatever it likes')
@pytest.mark.parametrize('name', ['', PLAIN, 'config.json', 'quantize_config.json', 'tokenizer.json'])
def test_no_permission(tiny_copy, name):
    (tiny_copy / name).chmod(0)
    try:
        fails(tiny_copy, 'check|download')
    finally:
        (tiny_copy / name).chmod(0o700)


@pytest.mark.parametrize('name', [PLAIN, 'config.json', 'quantize_config.json', 'tokenizer_config.json'])
def test_a_file_that_may_not_be_opened(tiny_copy, monkeypatch, name):
    """As without permission, for root too."""
    honest = os.open

    def refuse(path, *arguments, **keywords):
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, 'Permission denied', str(path))
        return honest(path, *arguments, **keywords)

    monkeypatch.setattr(os, 'open', refuse)
    assert name in str(fails(tiny_copy, 'cannot be read .*check the file'))


def test_a_folder_that_may_not_be_listed(tiny_copy, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, 'Permission denied', str(path))

    monkeypatch.setattr(Path, 'iterdir', refuse)
    fails(tiny_copy, r'cannot be read \(Permission denied\); check the folder and its permissions')


def test_a_full_disk(monkeypatch):
    def snapshot_download(name, **_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    fails('someone/a-model-GPTQ', 'The disk is full: someone/a-model-GPTQ .*free some space, or set HF_HOME')
