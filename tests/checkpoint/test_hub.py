"""From a repository's name to a folder, without a network."""

from fnmatch import fnmatch

import huggingface_hub
import pytest
from airoboros_gptq import GPTQError
from airoboros_gptq.checkpoint.hub import resolve_folder


@pytest.mark.parametrize(
    ('held', 'fetched'),
    [
        (['config.json', 'model.safetensors', 'pytorch_model.bin'], ['config.json', 'model.safetensors']),
        (['config.json', 'pytorch_model.bin', 'model.pt'], ['config.json', 'model.pt', 'pytorch_model.bin']),
    ],
)
def test_pickles_are_fetched_where_there_is_nothing_else(tmp_path, monkeypatch, held, fetched):
    def snapshot_download(name, revision, allow_patterns):
        assert (name, revision) == ('someone/a-model-GPTQ', 'gptq-4bit-32g-actorder_True')
        for file in held:
            if any((tmp_path / file).match(pattern) for pattern in allow_patterns):
                (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    assert resolve_folder('someone/a-model-GPTQ', 'gptq-4bit-32g-actorder_True') == tmp_path
    assert sorted(p.name for p in tmp_path.iterdir()) == fetched


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The arguments of each download; the repository has a folder `inner`."""
    seen = []

    def snapshot_download(name, **options):
        seen.append(options)
        (tmp_path / 'inner').mkdir(exist_ok=True)
        for folder in (tmp_path, tmp_path / 'inner'):
            (folder / 'model.safetensors').touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    return seen


def fetches(call, name):
    return any(fnmatch(name, pattern) for pattern in call['allow_patterns'])


def test_each_file_that_a_tokenizer_of_transformers_is_made_of_is_fetched(calls):
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING

    names = {'qwen.tiktoken', 'tekken.json', 'chat_template.jinja', 'additional_chat_templates/tool.jinja'}
    for config in list(TOKENIZER_MAPPING.keys()):
        try:
            kinds = TOKENIZER_MAPPING[config]
        except (ImportError, AttributeError, ValueError):  # of a package that is not installed
            continue
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            names.update((getattr(kind, 'vocab_files_names', None) or {}).values())
    resolve_folder('someone/a-model')
    assert {'merges.txt', 'vocab.txt', 'spiece.model'} <= names
    assert [name for name in names if not fetches(calls[0], name)] == []
    assert not any(fetches(calls[0], name) for name in ('model.gguf', 'training_args.bin', 'picture.png'))


def test_code_is_fetched_only_where_it_is_trusted(calls):
    resolve_folder('someone/a-model')
    resolve_folder('someone/a-model', trust_remote_code=True)
    assert [fetches(call, 'modeling_x.py') for call in calls] == [False, True]


def test_the_hub_s_arguments_reach_it(tmp_path, calls):
    options = {'cache_dir': 'here', 'token': 'a-token', 'local_files_only': True, 'force_download': True}
    assert resolve_folder('someone/a-model', 'r', subfolder='inner', **options) == tmp_path / 'inner'
    assert calls[0].items() >= {**options, 'revision': 'r'}.items()
    assert fetches(calls[0], 'inner/config.json') and not fetches(calls[0], 'config.json')


@pytest.mark.parametrize('subfolder', ['none', '..', '/'])
def test_a_subfolder_that_is_not_in_it(tmp_path, subfolder):
    (tmp_path / 'model').mkdir()
    with pytest.raises(GPTQError, match=r'has no folder .*; check the subfolder'):
        resolve_folder(tmp_path / 'model', subfolder=subfolder)
