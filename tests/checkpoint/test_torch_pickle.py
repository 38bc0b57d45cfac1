"""Weights that PyTorch pickled: the same model as from safetensors, and nothing but tensors comes out of the pickle."""

import json

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.checkpoint.checkpoint import open_checkpoint
from airoboros_gptq.checkpoint.quantize_config import is_gptq_folder
from airoboros_gptq.checkpoint.safetensors_header import read_header
from airoboros_gptq.checkpoint.tensor_info import tensor_bytes
from airoboros_gptq.checkpoint.torch_pickle import read_pickle
from airoboros_gptq.model.tensor_reader import open_tensors
from airoboros_gptq.preflight.folder_summary import read_summary
from safetensors.torch import load_file
from support import ACT_ORDER, EXTENSIONS, PLAIN, TINY, copy_tiny, run_cli, run_python

TENSORS = {'a.qweight': torch.arange(-8, 8).int().view(2, 8), 'a.scales': torch.rand(1, 8).half()}


@pytest.fixture(scope='module')
def right():
    return load_file(TINY / ACT_ORDER)


def single(folder, tensors, name='pytorch_model.bin'):
    torch.save(tensors, folder / name)
    return name


def sharded(folder, tensors, index=True, stem='pytorch_model', suffix='bin'):
    weight_map = {}
    for i in (1, 2, 3):
        file = f'{stem}-0000{i}-of-00003.{suffix}'
        part = {n: tensors[n] for n in sorted(tensors)[i - 1 :: 3]}
        torch.save(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    if index:
        (folder / f'{stem}.{suffix}.index.json').write_text(json.dumps({'weight_map': weight_map}))
        return f'{stem}.{suffix}.index.json'
    return f'{stem}-00001-of-00003.{suffix}'


KINDS = {
    'pytorch_model.bin': single,
    'model-4bit-128g.pt': lambda f, t: single(f, t, 'model-4bit-128g.pt'),
    'state_dict': lambda f, t: single(f, {'state_dict': t, 'epoch': 3}),
    'shards with an index': sharded,
    'shards without an index': lambda f, t: sharded(f, t, index=False),
}


def logits(folder):
    model, tokenizer = load(folder, kernel='reference', device='cpu')
    return model(**tokenizer('USER: Hi ASSISTANT:', return_tensors='pt')).logits


@pytest.mark.parametrize('kind', KINDS)
def test_the_same_model_as_from_safetensors(tmp_path, right, load_tiny, kind):
    folder = copy_tiny(tmp_path / 'tiny')
    name = KINDS[kind](folder, right)
    assert read_summary(folder).checkpoint.name == name
    model, tokenizer = load_tiny(ACT_ORDER, 'reference')
    assert torch.equal(logits(folder), model(**tokenizer('USER: Hi ASSISTANT:', return_tensors='pt')).logits)


def test_says_what_the_header_of_safetensors_says(tmp_path, right):
    single(tmp_path, right)
    pickled, header = read_pickle(tmp_path / 'pytorch_model.bin'), read_header(TINY / ACT_ORDER)
    assert set(pickled.tensors) == set(header.tensors)
    for name, info in header.tensors.items():
        found = pickled.tensors[name]
        assert (found.dtype, found.shape, found.end - found.begin) == (info.dtype, info.shape, tensor_bytes(info))
        if info.dtype == 'I32':
            assert pickled.read_ints(name, 9) == header.read_ints(name, 9)


def test_the_file_may_go_once_it_was_read(tmp_path):
    single(tmp_path, TENSORS)
    read = open_tensors(open_checkpoint(tmp_path, 'pytorch_model.bin'))
    found = read('a.qweight')
    (tmp_path / 'pytorch_model.bin').write_bytes(bytes(4000))
    assert torch.equal(found, TENSORS['a.qweight'])


class Code:
    def __reduce__(self):
        return print, ('a pickle was run',)


def test_a_pickle_that_runs_code_is_refused(tmp_path, capsys):
    folder = copy_tiny(tmp_path / 'tiny')
    single(folder, {**TENSORS, 'x': Code()})
    with pytest.raises(GPTQError, match=r'pytorch_model\.bin holds more than tensors, .* run code; convert it') as e:
        load(folder, device='cpu')
    assert '\n' not in str(e.value)
    assert 'a pickle was run' not in capsys.readouterr().out
    code, out, err = run_cli('inspect', folder)
    assert (code, out) == (1, '') and 'Traceback' not in err and 'was run' not in err


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def old(path):
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)


FAULTS = {
    'cut short': (cut, 'has no end: the download was interrupted; download it again'),
    'before 1.6': (old, r'PyTorch before 1\.6.*save it again'),
    'lfs pointer': (lambda p: p.write_text('version https://git-lfs'), 'is a Git LFS pointer'),
    'empty': (lambda p: p.write_bytes(b''), 'is not a file of PyTorch; download it again'),
    'a list': (lambda p: torch.save([1, 2], p), 'holds a list where named tensors are expected'),
    'sparse': (lambda p: torch.save({'a': torch.eye(2).to_sparse()}, p), 'holds a as no plain tensor'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_faults(tmp_path, fault):
    path = tmp_path / single(tmp_path, TENSORS)
    make, pattern = FAULTS[fault]
    make(path)
    with pytest.raises(GPTQError, match=pattern) as e:
        read_pickle(path)
    assert '\n' not in str(e.value) and str(path) in str(e.value)


def test_folders_without_a_config(tmp_path, right):
    folder = copy_tiny(tmp_path / 'tiny')
    (folder / 'quantize_config.json').unlink()
    assert not is_gptq_folder(folder)
    single(folder, {'model.embed_tokens.weight': torch.ones(2, 2)})
    assert not is_gptq_folder(folder)
    single(folder, right)
    assert is_gptq_folder(folder)
    assert read_summary(folder).lines[1].value == '4'


def test_facts_of_safetensors_beside_a_pickle_need_no_torch(tmp_path):
    folder = copy_tiny(tmp_path / 'tiny', PLAIN)
    single(folder, TENSORS)
    code = f'import sys; sys.path.insert(0, {str(EXTENSIONS)!r})\n'
    code += 'from airoboros_gptq.preflight.folder_summary import read_summary\n'
    code += f'from pathlib import Path; read_summary(Path({str(folder)!r})); print("torch" in sys.modules)'
    assert run_python('-c', code)[1].strip() == 'False'
