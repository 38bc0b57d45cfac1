"""A webui with version 0.1.0 in it: upgraded in place, nothing stale left, and uninstalled byte for byte.

installed-0.1.0.txt lists what 0.1.0 installs, so that this runs without git history; where there is one, 0.1.0 itself
installs, too.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from install_helpers import LAYOUTS, NAME, ROOT, Webui, put, run, snapshot

LISTED = Path(__file__).with_name('installed-0.1.0.txt').read_text('utf-8').split()
COMMIT = 'd9f0869'  # 0.1.0, which has no tag


def install_0_1_0(webui):
    """What 0.1.0 leaves, with other contents; its manifest as it wrote it. The extension is enabled, and has run."""
    before = snapshot(webui.root)
    roots = {'extension': webui.extension, 'data': webui.data, 'root': webui.root}
    marks = {}
    for line in LISTED:
        room, _, rest = line.partition('/')
        path = put(roots[room] / rest, 'def watch(): pass\n' if rest.endswith('early.py') else f'# {line} of 0.1.0\n')
        marks[os.path.relpath(path, webui.root)] = [hashlib.sha256(path.read_bytes()).hexdigest()]
    put(webui.hook_entry / 'entry_points.txt', '[torch.backends]\nairoboros_gptq = airoboros_gptq_early:watch\n')
    entry = os.path.relpath(webui.hook_entry / 'entry_points.txt', webui.root)
    marks[entry] = [hashlib.sha256((webui.root / entry).read_bytes()).hexdigest()]
    made = [path for path, content in snapshot(webui.root).items() if content == 'folder' and path not in before]
    after = put(webui.settings, f'default_extensions:\n- {NAME}\n').read_bytes()
    settings = {'before': None, 'after': base64.b64encode(after).decode()}
    manifest = {'files': marks, 'folders': made, 'mode': 'copy', 'settings': settings}
    put(webui.extension / '.installed.json', json.dumps(manifest, indent=1, sort_keys=True) + '\n')
    for folder in [webui.extension, *(webui.root / folder for folder in made if f'{NAME}/' in folder)]:
        put(folder / '__pycache__' / 'x.cpython-311.pyc', b'\0')
    put(webui.root / '__pycache__' / f'{NAME}_early.cpython-311.pyc', b'\0')


@pytest.fixture(params=LAYOUTS)
def old(request, tmp_path):
    """(webui with 0.1.0, what it was before)"""
    webui = Webui(tmp_path / 'webui', request.param)
    webui.hook_entry = webui.root / f'{NAME}_early-1.dist-info'
    before = snapshot(webui.root)
    install_0_1_0(webui)
    return webui, before


def test_nothing_stale_is_left(old, tmp_path):
    webui, before = old
    said = run(ROOT, 'webui', webui.root)
    assert 'in place of 0.1.0' in said and 'Kept' not in said
    upgraded = snapshot(webui.root)
    assert not [path for path in upgraded if 'core' in Path(path).parts or ('__pycache__' in path and NAME in path)]
    # The same as after uninstalling it and installing anew.
    run(ROOT, 'uninstall', webui.root)
    assert snapshot(webui.root) == before
    run(ROOT, 'webui', webui.root, '--enable')
    anew = snapshot(webui.root)
    manifest = next(path for path in anew if path.endswith('.installed.json'))
    assert {**upgraded, manifest: ''} == {**anew, manifest: ''}
    run(ROOT, 'uninstall', webui.root)
    assert snapshot(webui.root) == before


def test_0_1_0_is_uninstalled_without_an_upgrade(old):
    webui, before = old
    run(ROOT, 'uninstall', webui.root)
    assert snapshot(webui.root) == before


def test_a_file_of_0_1_0_that_was_edited_is_kept_and_named(old):
    webui, before = old
    edited = put(webui.extension / 'core' / 'gpu' / 'step.py', '# mine')
    assert f'Kept {edited}' in run(ROOT, 'webui', webui.root)
    assert sorted(p.name for p in (webui.extension / 'core').rglob('*')) == ['gpu', 'step.py']
    assert f'Kept {edited}' in run(ROOT, 'uninstall', webui.root)
    assert set(snapshot(webui.root)) - set(before) == {
        path.relative_to(webui.root).as_posix()
        for path in (edited, *edited.parents)
        if webui.root in path.parents and path.relative_to(webui.root).as_posix() not in before
    }


@pytest.fixture
def project_0_1_0(tmp_path):
    project = tmp_path / '0.1.0'
    project.mkdir()
    if not shutil.which('git'):
        pytest.skip('git is not installed')
    archive = subprocess.run(['git', 'archive', COMMIT], cwd=ROOT, capture_output=True)
    if archive.returncode:
        pytest.skip('there is no git history here')
    subprocess.run(['tar', 'x', '-C', project], input=archive.stdout, check=True)
    return project


@pytest.mark.parametrize('flags', [[], ['--enable'], ['--link', '--enable']], ids=' '.join)
def test_by_the_installer_of_0_1_0_itself(project_0_1_0, webui, flags):
    link = [flag for flag in flags if flag == '--link']
    before = snapshot(webui.root)
    run(project_0_1_0, 'webui', webui.root, *flags)
    if not link:
        listed = {line.split('/', 1)[1] for line in LISTED}
        installed = [path for path in webui.extension.rglob('*') if path.is_file() and path.name != '.installed.json']
        assert {path.relative_to(webui.extension).as_posix() for path in installed} <= listed
    assert 'in place of 0.1.0' in run(ROOT, 'webui', webui.root, *link)
    assert (webui.extension / 'script.py').samefile(ROOT / 'extensions' / NAME / 'script.py') is bool(link)
    assert 'nothing to do' in run(ROOT, 'webui', webui.root, *link)
    run(ROOT, 'uninstall', webui.root)
    assert snapshot(webui.root) == before
