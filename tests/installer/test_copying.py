"""The extension, its presets and its templates go into a webui and out again: compared byte for byte."""

import os
import shutil
import signal

import pytest
import yaml
from install_helpers import NAME, ROOT, Webui, mtimes, put, run, snapshot

from installer import files, payload
from installer.install import install
from installer.webui_tree import Webui as WebuiTree


def test_everything_lands_where_this_webui_looks_and_leaves_no_trace(source, webui):
    before = snapshot(webui.root)
    run(source, 'webui', webui.root, '--enable')
    assert (webui.extension / 'script.py').read_text() == 'params = {}\n'
    assert not (webui.extension / '__pycache__').exists()
    for name in payload.COPIED_FOLDERS:
        for file in (ROOT / name).glob('*.yaml'):
            assert (webui.data / name / file.name).read_bytes() == file.read_bytes()
    for file in (ROOT / 'instruction-templates').glob('*.yaml'):
        assert (webui.extension / 'instruction-templates' / file.name).read_bytes() == file.read_bytes()
    assert yaml.safe_load(webui.settings.read_bytes()) == {'default_extensions': [NAME]}
    put(webui.extension / 'model' / '__pycache__' / 'old.cpython-311.pyc', b'\0')  # as a run of the webui leaves them
    put(webui.root / '__pycache__' / 'airoboros_gptq_early.cpython-311.pyc', b'\0')
    run(source, 'uninstall', webui.root)
    assert snapshot(webui.root) == before


def test_the_real_project_installs_and_uninstalls(v4):
    before = snapshot(v4.root)
    run(ROOT, 'webui', v4.root)
    real = {p.relative_to(ROOT / 'extensions' / NAME) for p in (ROOT / 'extensions' / NAME).rglob('*.py')}
    real = {p for p in real if not p.name.startswith('.')}
    early = {p.name: p.read_text() for p in v4.root.glob('airoboros_gptq_early*/*')}
    assert 'airoboros_gptq_early:watch' in early['entry_points.txt'] and (v4.root / 'airoboros_gptq_early.py').is_file()
    useless = {p for p in real if p.parts[0] == 'demo'}
    assert {p.name for p in useless} >= {'app.py', 'chat.py'}
    assert all((v4.extension / p).exists() for p in real - useless)
    assert not (v4.extension / 'demo').exists()
    run(ROOT, 'uninstall', v4.root)
    assert snapshot(v4.root) == before


@pytest.mark.parametrize('flags', [[], ['--enable'], ['--link'], ['--link', '--enable']], ids=' '.join)
def test_a_second_run_changes_nothing_and_says_so(source, v4, flags):
    run(source, 'webui', v4.root, *flags)
    state, times = snapshot(v4.root), mtimes(v4.root)
    assert 'nothing to do' in run(source, 'webui', v4.root, *flags)
    assert (snapshot(v4.root), mtimes(v4.root)) == (state, times)


def test_link_shows_the_source_at_once_and_keeps_it_clean(source, webui):
    before, before_source = snapshot(webui.root), snapshot(source)
    run(source, 'webui', webui.root, '--link')
    assert webui.extension.is_symlink() and webui.preset.is_symlink()
    assert snapshot(source) == before_source
    assert 'uninstall it first' in run(source, 'webui', webui.root, code=1)
    run(source, 'uninstall', webui.root)
    assert snapshot(webui.root) == before
    assert snapshot(source) == before_source


def test_upgrade_replaces_adds_and_removes_but_keeps_what_was_edited(source, v4):
    before = snapshot(v4.root)
    run(source, 'webui', v4.root)
    put(source / 'extensions' / NAME / 'script.py', 'params = {1: 2}\n')
    put(source / 'extensions' / NAME / 'model' / 'new' / 'fast.py', '')
    (source / 'extensions' / NAME / 'model' / 'old.py').unlink()
    put(source / 'presets' / 'Airoboros.yaml', 'temperature: 0.5\n')
    v4.preset.write_text('temperature: 0.9\n')
    assert f'Kept {v4.preset}' in run(source, 'webui', v4.root)
    assert (v4.extension / 'script.py').read_text() == 'params = {1: 2}\n'
    assert (v4.extension / 'model' / 'new' / 'fast.py').exists()
    assert not (v4.extension / 'model' / 'old.py').exists()
    assert v4.preset.read_text() == 'temperature: 0.9\n'
    assert f'Kept {v4.preset}' in run(source, 'uninstall', v4.root)
    v4.preset.unlink()
    assert snapshot(v4.root) == before


@pytest.mark.parametrize('folder', ['demo'])
def test_what_is_of_no_use_in_a_webui_stays_out_and_an_upgrade_takes_it_out(
    source, from_source, v4, folder, monkeypatch
):
    with monkeypatch.context() as earlier:
        earlier.setattr(payload, 'NOT_COPIED', ())
        install(WebuiTree(v4.root))
    assert (v4.extension / folder).is_dir()
    put(v4.extension / folder / '__pycache__' / 'x.pyc', b'\0')
    run(source, 'webui', v4.root)
    assert not (v4.extension / folder).exists()
    assert (v4.extension / 'script.py').exists()


@pytest.mark.parametrize('same', [True, False], ids=['same', 'other'])
def test_a_preset_that_was_there_before_us_is_never_touched(source, v4, same):
    put(v4.preset, (ROOT / 'presets' / 'Airoboros.yaml').read_bytes() if same else 'temperature: 1.3\n')
    before = snapshot(v4.root)
    assert (f'Kept {v4.preset}' in run(source, 'webui', v4.root)) is not same
    run(source, 'uninstall', v4.root)
    assert snapshot(v4.root) == before


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
@pytest.mark.parametrize('after', [0, 1, 4])
@pytest.mark.parametrize('upgrade', [False, True], ids=['first', 'upgrade'])
def test_an_install_cut_short_can_be_uninstalled_or_finished(source, from_source, v4, upgrade, after, monkeypatch):
    before = snapshot(v4.root)
    if upgrade:
        run(source, 'webui', v4.root)
        put(source / 'extensions' / NAME / 'script.py', 'params = {1: 2}\n')
        put(source / 'presets' / 'Airoboros.yaml', 'temperature: 0.5\n')
    real, written = files.stage_bytes, []

    def cut_short(path, data):
        if len(written) == after:
            put(files.temp_path(path), data[:3])
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(path)
        real(path, data)

    monkeypatch.setattr(files, 'stage_bytes', cut_short)
    child = os.fork()
    if child == 0:
        install(WebuiTree(v4.root), enable=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    monkeypatch.undo()
    cut = v4.root.parent / 'cut'
    shutil.copytree(v4.root, cut)
    run(source, 'uninstall', v4.root)
    assert snapshot(v4.root) == before
    assert 'Kept' not in run(source, 'webui', cut, '--enable')
    run(source, 'uninstall', cut)
    assert snapshot(cut) == before


def test_what_was_put_there_by_hand_is_left_to_the_hand(source, v4):
    shutil.copytree(source / 'extensions' / NAME, v4.extension)
    before = snapshot(v4.root)
    assert 'was not put there by install.py' in run(source, 'webui', v4.root, code=1)
    assert f'{v4.extension} was not put there by install.py' in run(source, 'uninstall', v4.root, code=1)
    assert snapshot(v4.root) == before


def test_uninstall_without_an_install_is_no_error(source, v4):
    before = snapshot(v4.root)
    assert 'is not installed' in run(source, 'uninstall', v4.root)
    assert snapshot(v4.root) == before


def test_an_install_survives_the_upgrade_of_the_webui_to_another_layout(source, tmp_path):
    old = Webui(tmp_path / 'webui', 'v3.3')
    before = {k: v for k, v in snapshot(old.root).items() if k.startswith(('extensions', 'user_data'))}
    run(source, 'webui', old.root)
    Webui(tmp_path / 'webui', 'v4')
    assert 'nothing to do' in run(source, 'webui', old.root)
    run(source, 'uninstall', old.root)
    assert {k: v for k, v in snapshot(old.root).items() if k.startswith(('extensions', 'user_data'))} == before


def test_user_data_beside_the_webui_is_found_through_a_link_too(source, tmp_path):
    webui = Webui(tmp_path / 'elsewhere' / 'webui', 'v4')
    (tmp_path / 'builds').mkdir()
    (tmp_path / 'builds' / 'webui').symlink_to(webui.root)
    webui.root = tmp_path / 'builds' / 'webui'
    shutil.move(webui.data, tmp_path / 'builds' / 'user_data')
    before = snapshot(tmp_path / 'builds')
    run(source, 'webui', webui.root)
    assert (tmp_path / 'builds' / 'user_data' / 'extensions' / NAME / 'script.py').exists()
    run(source, 'uninstall', webui.root)
    assert snapshot(tmp_path / 'builds') == before
