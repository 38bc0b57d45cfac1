"""What install.py cannot do it says in one sentence, and changes nothing."""

import os
import shutil
import stat

import pytest
from install_helpers import put, run, snapshot


@pytest.mark.parametrize(
    ('prepare', 'says'),
    [
        (lambda w: shutil.rmtree(w.root), 'is not a folder'),
        (lambda w: (w.root / 'server.py').unlink(), 'is not a text-generation-webui'),
        (lambda w: (w.root / 'portable_env').mkdir(), 'portable build'),
        (lambda w: (w.root / 'characters' / 'instruction-following').mkdir(parents=True), 'older than v1.7'),
        (lambda w: shutil.rmtree(w.data / 'presets') or put(w.data / 'presets', ''), 'is a file where a folder'),
        (lambda w: put(w.extension / '.installed.json', '{"mode"'), 'is damaged'),
        (lambda w: put(w.extension / '.installed.json', '[]'), 'is damaged'),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_and_changes_nothing(source, v4, prepare, says):
    prepare(v4)
    before = snapshot(v4.root)
    said = run(source, 'webui', v4.root, '--enable', code=1)
    assert says in said and str(v4.root) in said
    assert snapshot(v4.root) == before


def test_a_folder_that_cannot_be_written_stops_before_anything_is(source, v4):
    # root may write everywhere unless that right is taken from it
    drop = ['setpriv', '--bounding-set=-dac_override,-dac_read_search,-fowner']
    prefix = drop if hasattr(os, 'geteuid') and os.geteuid() == 0 else []
    if os.name == 'nt' or (prefix and not shutil.which('setpriv')):
        pytest.skip('nothing is read-only here')
    presets = v4.data / 'presets'
    presets.chmod(stat.S_IREAD | stat.S_IEXEC)
    try:
        before = snapshot(v4.root)
        assert f'{presets} cannot be written' in run(source, 'webui', v4.root, code=1, before=prefix)
        assert snapshot(v4.root) == before
    finally:
        presets.chmod(0o755)


def test_a_release_to_be_fetched_needs_a_python_that_has_its_requirements(source):
    assert 'name the Python' in run(source, 'test', '--webui-ref', 'v4.9', code=1)
