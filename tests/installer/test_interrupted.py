"""install.py killed at a file event, or on a full disk: the webui lives, and the next run finishes or undoes it.

A slice; tools/kill_install.py does it at every event, for the whole project.
"""

import contextlib
import errno
import os
import shutil
import subprocess
import sys

import kill_install
import pytest
from install_helpers import NAME, Webui, put, run, snapshot

from installer import files, payload

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')


@pytest.fixture
def projects(source, tmp_path):
    """A project of a few files, and an older version of it."""
    for folder in ('presets', 'instruction-templates'):
        for path in sorted((source / folder).glob('*.yaml'))[1:]:
            path.unlink()
    package = source / 'extensions' / NAME
    put(package / 'webui' / 'startup_model.py', '')
    older = tmp_path / 'older'
    shutil.copytree(source, older)
    put(older / 'extensions' / NAME / 'core' / 'sub' / 'gone.py', 'gone')
    put(older / 'extensions' / NAME / 'script.py', 'older')
    put(older / 'installer' / 'start_hook' / 'METADATA', 'older')
    return source, older


@pytest.mark.parametrize('number', range(9))
def test_killed_or_on_a_full_disk(projects, tmp_path, number):
    scenario = kill_install.scenarios(*projects)[number]
    (tmp_path / 'work').mkdir()
    # The journal and the first folders; the hook, the settings, the manifest and the folders at the end.
    kill_install.disturb(
        scenario, tmp_path / 'work', lambda events: [*events[:4], *events[5:-5:12], *events[-5:]], lambda e: e[1::12]
    )
    assert scenario.events > 10 and scenario.runs > 10
    assert not scenario.failures


def test_a_write_that_fails_changes_nothing_and_is_said(source, v4):
    """By a limit on the size of files: all but the largest are staged before it fails."""
    put(source / 'extensions' / NAME / 'model' / 'zz_large.py', b'#' * 100_000)
    before = snapshot(v4.root)
    limit = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); sys.argv[0] = 'x'"
    )
    code = f"{limit}; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    said = run(source, 'webui', v4.root, '--enable', code=1, options=['-c', code])
    assert os.strerror(errno.EFBIG) in said and said.count('\n') == 1
    assert snapshot(v4.root) == before
    run(source, 'webui', v4.root)
    installed = snapshot(v4.root)
    put(source / 'extensions' / NAME / 'script.py', 'newer')
    put(source / 'extensions' / NAME / 'model' / 'zz_large.py', b'#' * 100_001)
    run(source, 'webui', v4.root, '--enable', code=1, options=['-c', code])
    assert snapshot(v4.root) == installed


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(kilobytes): an empty file system of that size."""
    mounted = []

    def small_disk(size):
        folder = tmp_path / f'disk-{size}'
        folder.mkdir()
        options = ['-t', 'tmpfs', '-o', f'size={size}k', 'tmpfs', str(folder)]
        if subprocess.run(['mount', *options], capture_output=True).returncode:
            pytest.skip('no file system can be mounted here')
        mounted.append(folder)
        return folder

    yield small_disk
    for folder in mounted:
        subprocess.run(['umount', str(folder)], check=True)


@pytest.mark.skipif(not shutil.which('mount'), reason='needs mount')
def test_a_disk_that_is_really_full(source, small_disk):
    put(source / 'extensions' / NAME / 'model' / 'zz_large.py', b'#' * 60_000)
    for size in range(60, 240, 20):
        root = small_disk(size) / 'webui'
        webui = Webui(root, 'v4')
        before = snapshot(root)
        done = subprocess.run([sys.executable, source / 'install.py', 'webui', root], capture_output=True, text=True)
        if done.returncode == 0:
            break
        assert os.strerror(errno.ENOSPC) in done.stderr and 'Traceback' not in done.stderr
        assert snapshot(root) == before
    assert size > 100 and (webui.extension / 'script.py').exists()
    filler = root.parent / 'filler'
    with contextlib.suppress(OSError), filler.open('wb') as file:
        while True:
            file.write(b'#' * 4096)
            file.flush()
    run(source, 'uninstall', root)  # needs no space
    assert snapshot(root) == before


def test_what_an_older_version_left_behind_is_taken_over(source, v4):
    """0.1.0 was killed after it had made its folder, before it had a manifest."""
    put(v4.extension / f'..installed.json.{NAME}.tmp', '{"mode"')
    shutil.copytree(v4.root, v4.root.parent / 'second')
    run(source, 'webui', v4.root)
    assert (v4.extension / 'script.py').exists()
    assert 'is not installed' in run(source, 'uninstall', v4.root.parent / 'second')
    assert not (v4.root.parent / 'second' / v4.extension.relative_to(v4.root)).exists()


def test_a_hook_whose_extension_was_deleted_by_hand_is_removed(source, v4):
    before = snapshot(v4.root)
    run(source, 'webui', v4.root)
    for folder in ('presets', 'instruction-templates'):
        for path in (source / folder).glob('*.yaml'):
            (v4.data / folder / path.name).unlink()
    shutil.rmtree(v4.extension.parent)
    assert 'the start hook, all that was left' in run(source, 'uninstall', v4.root)
    assert snapshot(v4.root) == before


@pytest.mark.parametrize('earlier', [False, True], ids=['same', '0.1.0'])
def test_a_hook_without_a_manifest_is_recognised(source, v4, earlier, monkeypatch, main):
    """The extension's folder was deleted by hand and is installed anew: the hook is replaced and goes at uninstall."""
    before = snapshot(v4.root)
    run(source, 'webui', v4.root)
    module = v4.root / f'{NAME}_early.py'
    if earlier:
        module.write_text('# as an earlier version has it\n')
        monkeypatch.setattr(payload, 'EARLIER_HOOKS', (files.fingerprint(module),))
    for folder in ('presets', 'instruction-templates'):
        for path in (source / folder).glob('*.yaml'):
            (v4.data / folder / path.name).unlink()
    shutil.rmtree(v4.extension.parent)
    assert main(['webui', str(v4.root)]) == 0
    assert module.read_bytes() == (source / 'installer' / 'start_hook' / module.name).read_bytes()
    assert main(['uninstall', str(v4.root)]) == 0
    assert snapshot(v4.root) == before


def test_interrupted_by_the_user(source, v4, monkeypatch, main, capsys):
    """Ctrl+C while files are staged: nothing has changed."""
    before = snapshot(v4.root)
    stage, staged = files.stage_bytes, []

    def interrupted(path, data):
        staged.append(path)
        if len(staged) == 5:
            raise KeyboardInterrupt
        stage(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(files, 'stage_bytes', interrupted)
        assert main(['webui', str(v4.root)]) != 0
    assert snapshot(v4.root) == before
