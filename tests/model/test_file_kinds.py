"""Every file that inspect, load and AutoTokenizer open, as a FIFO, a device, a terabyte, JSON without end: nothing waits or is
read whole, and what is wrong is one sentence.
"""

import itertools
import json
import os
import shutil
import sys

import pytest
from airoboros_gptq import GPTQError, load
from airoboros_gptq.checkpoint.quantize_config import is_gptq_folder
from airoboros_gptq.model.tokenizer import load_tokenizer
from airoboros_gptq.preflight.folder_summary import as_text, read_summary
from limits import limited
from support import PLAIN, copy_tiny

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='only POSIX has FIFOs and such limits')

SECONDS, MEMORY = 15, 4 << 30
KNOWN = (
    *(
        'README.md',
        'chat_template.jinja',
        'chat_template.json',
        'special_tokens_map.json',
        'added_tokens.json',
        'vocab.json',
    ),
    *(
        'merges.txt',
        'tokenizer.model',
        'tekken.json',
        'quant_config.json',
        'model.safetensors.index.json',
        'processor_config.json',
    ),
    *('additional_chat_templates/tool.jinja', 'pytorch_model.bin', 'other.safetensors', 'preprocessor_config.json'),
)
KINDS = {
    'FIFO': os.mkfifo,
    'device': lambda path: path.symlink_to('/dev/zero'),
    'terabyte': lambda path: path.touch() or os.truncate(path, 2**40),
    'wide': lambda path: path.write_bytes(b'[' + b'[],' * 15_000_000 + b'1]'),
    'deep': lambda path: path.write_bytes(b'{"a":' * 1_000_000),
}
_opened: set[str] | None = None


def _record(event, args):
    if event == 'open' and _opened is not None and isinstance(args[0], (str, os.PathLike)):
        _opened.add(os.fspath(args[0]))


def names_opened(folder):
    """The names of all files in a folder that load() opens or asks for."""
    global _opened
    sys.addaudithook(_record)
    _opened = set()
    try:
        load(folder, device='cpu', kernel='reference', progress=lambda done, total: None)
    finally:
        opened, _opened = _opened, None
    return {os.path.relpath(p, folder) for p in opened if p.startswith(f'{folder}{os.sep}')}


def read_all(folder):
    is_gptq_folder(folder)
    as_text(read_summary(folder))
    load_tokenizer(folder)


def test_every_file_as_each_kind(tmp_path):
    whole, made = copy_tiny(tmp_path / 'airoboros-tiny-gpt4-1.2-GPTQ', PLAIN), tmp_path / 'made'
    made.mkdir()
    for kind, make in KINDS.items():
        make(made / kind)
    names = names_opened(whole)
    assert {'config.json', 'quantize_config.json', 'tokenizer.json', 'generation_config.json', PLAIN} <= names
    faults = []
    with limited(SECONDS, MEMORY) as start:
        for name, kind in itertools.product(sorted(names | set(KNOWN)), KINDS):
            folder = tmp_path / 'airoboros-damaged-GPTQ'
            shutil.copytree(whole, folder, copy_function=os.link)
            path = folder / name
            path.unlink(missing_ok=True)
            path.parent.mkdir(exist_ok=True)
            os.link(made / kind, path, follow_symlinks=False)
            start()
            try:
                read_all(folder)
            except GPTQError as e:
                assert '\n' not in str(e)
            except BaseException as e:
                faults.append(f'{name} as {kind}: {type(e).__name__}: {str(e)[:200]}')
            shutil.rmtree(folder)
    assert not faults, '\n'.join(faults)


@pytest.mark.parametrize('key', ['vocab_file', 'merges_file', 'tokenizer_file', 'fast_tokenizer_files'])
@pytest.mark.parametrize('layout', ['tokenizer.json', 'vocab.json'])
def test_a_vocabulary_outside_of_the_folder(tmp_path, tiny_copy, key, layout):
    """tokenizer_config.json names one: the folder's own is read."""
    if layout == 'vocab.json':  # as GPT-2's, without tokenizer.json
        (tiny_copy / 'tokenizer.json').unlink()
        (tiny_copy / 'tokenizer.model').unlink()
        (tiny_copy / 'vocab.json').write_text(json.dumps({'a': 0, 'b': 1, 'ab': 2, '<s>': 3, '</s>': 4, '<unk>': 5}))
        (tiny_copy / 'merges.txt').write_text('#version: 0.2\na b\n')
    settings = json.loads((tiny_copy / 'tokenizer_config.json').read_text())
    if layout == 'vocab.json':
        settings['tokenizer_class'] = 'GPT2Tokenizer'
    (tiny_copy / 'tokenizer_config.json').write_text(json.dumps(settings))
    expected = load_tokenizer(tiny_copy)
    outside = tmp_path / 'tokenizer.9.0.json'
    os.mkfifo(outside)  # whoever opens it waits
    named = [str(outside)] if key == 'fast_tokenizer_files' else str(outside)
    (tiny_copy / 'tokenizer_config.json').write_text(json.dumps({**settings, key: named}))

    with limited(SECONDS, MEMORY) as start:
        start()
        tokenizer = load_tokenizer(tiny_copy)
    assert tokenizer('ab').input_ids == expected('ab').input_ids
    assert tokenizer.name_or_path == str(tiny_copy)
