"""From a repository's name to a folder, without a network."""

import huggingface_hub
import pytest
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
