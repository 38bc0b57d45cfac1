"""Which files of a folder are weights, under which name a checkpoint goes, and which files it consists of."""

import json

import pytest
from airoboros_gptq.checkpoint.weight_files import (
    check_no_unusable,
    files_of,
    find_checkpoints,
    list_checkpoints,
    match_name,
)
from airoboros_gptq.errors import GPTQError

FIRST, SECOND = 'm-00001-of-00002.safetensors', 'm-00002-of-00002.safetensors'


@pytest.fixture
def folder(tmp_path):
    """folder(*names, index=...) makes empty files, and an index over others."""

    def make(*names, **indices):
        for name in names:
            (tmp_path / name).touch()
        for stem, files in indices.items():
            index = {'weight_map': {f'tensor {i}': file for i, file in enumerate(files)}}
            (tmp_path / f'{stem}.safetensors.index.json').write_text(json.dumps(index))
        return tmp_path

    return make


def test_an_index_names_its_shards(folder):
    path = folder(FIRST, SECOND, 'other.safetensors', model=[SECOND, FIRST, FIRST])
    assert find_checkpoints(path) == {
        'model.safetensors.index.json': [FIRST, SECOND],
        'other.safetensors': ['other.safetensors'],
    }


def test_shards_without_an_index_go_by_the_first(folder):
    """Which need not be there: opening says then that it is missing."""
    assert find_checkpoints(folder(SECOND)) == {FIRST: [FIRST, SECOND]}
    assert files_of(folder(), 'm-00001-of-00000.safetensors') == ['m-00001-of-00000.safetensors']


def test_a_stale_index_counts_only_where_there_is_nothing_else(folder):
    assert list_checkpoints(folder(model=[FIRST])) == ['model.safetensors.index.json']
    assert list_checkpoints(folder('other.safetensors')) == ['other.safetensors']


def test_pickles_come_last_and_what_trainers_leave_is_none(folder):
    path = folder('a.bin', 'b.pt', 'z.safetensors', 'training_args.bin', 'optimizer.pt', 'rng_state_0.pth', 'x.txt')
    assert list_checkpoints(path) == ['z.safetensors', 'a.bin', 'b.pt']


@pytest.mark.parametrize('weight_map', [None, {}, [], {'a': 3}, {'a': '../../etc/passwd'}])
def test_a_useless_index_is_named(tmp_path, weight_map):
    (tmp_path / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': weight_map}))
    with pytest.raises(GPTQError, match=r'model\.safetensors\.index\.json has no usable weight_map; download'):
        find_checkpoints(tmp_path)


def test_a_name_may_lack_its_suffix():
    names = ['a.safetensors', 'a.bin', 'm.safetensors.index.json', 'p.bin.index.json']
    found = {wanted: match_name(names, wanted) for wanted in ('a', 'a.bin', 'm', 'p', 'm.safetensors', 'b')}
    assert found == {
        **{'a': 'a.safetensors', 'a.bin': 'a.bin', 'm': 'm.safetensors.index.json', 'p': 'p.bin.index.json'},
        **{'m.safetensors': None, 'b': None},
    }


def test_a_name_outside_the_folder_is_not_found(folder):
    path = folder('a.safetensors')
    outside = path.parent / 'outside.safetensors'
    outside.touch()
    assert match_name(list_checkpoints(path), '../outside') is None
    assert match_name(list_checkpoints(path), str(outside)) is None


def test_a_link_to_nothing_is_named(folder):
    path = folder('a.safetensors')
    check_no_unusable(path)
    (path / 'b.safetensors').symlink_to('gone')
    with pytest.raises(GPTQError, match=r'b\.safetensors is a symbolic link that leads to no file; download'):
        check_no_unusable(path)
