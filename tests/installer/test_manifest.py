"""A manifest that was tampered with, or is damaged: nothing outside the install is deleted."""

import hashlib
import json
import os

import pytest
from install_helpers import NAME, put, run, snapshot


def sha(path):
    return [hashlib.sha256(path.read_bytes()).hexdigest()]


@pytest.fixture
def installed(source, v4):
    """(webui, its manifest's path, a file outside of it that must survive)"""
    run(source, 'webui', v4.root, '--enable')
    return v4, v4.extension / '.installed.json', put(v4.root.parent / 'outside' / 'mine.txt', 'mine')


def tamper(manifest, **changes):
    content = json.loads(manifest.read_text())
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(content[key], dict) else [*content[key], *value]
    manifest.write_text(json.dumps(content))


def refuse(source, webui, *says):
    """Neither command changes anything; both say why in one sentence."""
    before = snapshot(webui.root.parent)
    for command in ('uninstall', 'webui'):
        said = run(source, command, webui.root, code=1)
        assert all(text in said for text in says), said
    assert snapshot(webui.root.parent) == before


@pytest.mark.parametrize(
    'path',
    [
        lambda webui, outside: str(outside),
        lambda webui, outside: f'../{outside.parent.name}/{outside.name}',
        lambda webui, outside: f'user_data/extensions/{NAME}/../../../../{outside.parent.name}/{outside.name}',
        lambda webui, outside: f'user_data/extensions/{NAME}/link/{outside.name}',
        lambda webui, outside: 'server.py',
        lambda webui, outside: 'modules/shared.py',
        lambda webui, outside: 'user_data/extensions/other/script.py',
        lambda webui, outside: f'user_data/extensions/{NAME}-other/script.py',
        lambda webui, outside: 'user_data/presets/sub/mine.yaml',
        lambda webui, outside: 'user_data/presets/mine.txt',
    ],
    ids=['absolute', 'above', 'up-and-out', 'through-a-link', 'server', 'module', 'other', 'like', 'deep', 'no-yaml'],
)
def test_a_file_that_no_install_writes_is_not_deleted(source, installed, path):
    webui, manifest, outside = installed
    (webui.extension / 'link').symlink_to(outside.parent)
    rel = path(webui, outside)
    target = webui.root / rel
    if not target.exists():
        put(target, 'theirs')
    tamper(manifest, files={rel: sha(target)})
    refuse(source, webui, f'{manifest} names {rel}, which no install', 'nothing was changed')
    assert outside.read_text() == 'mine'


@pytest.mark.parametrize(
    'rel', ['..', '.', '../outside/empty', 'modules/empty', f'user_data/extensions/{NAME}/link/empty']
)
def test_a_folder_that_no_install_makes_is_not_deleted(source, installed, rel):
    webui, manifest, outside = installed
    (webui.extension / 'link').symlink_to(outside.parent)
    (outside.parent / 'empty').mkdir()
    (webui.root / 'modules' / 'empty').mkdir()
    tamper(manifest, folders=[rel])
    refuse(source, webui, f'{manifest} names {rel}')


def test_what_a_link_leads_to_stays(source, installed):
    """A folder of the install that was replaced by a link: not even files with the same content are deleted behind it."""
    webui, _, outside = installed
    folder = webui.extension / 'model'
    folder.rename(outside.parent / 'model')
    folder.symlink_to(outside.parent / 'model')
    refuse(source, webui, 'names')


def test_the_journal_is_checked_like_the_manifest(source, installed):
    webui, manifest, outside = installed
    tamper(manifest, files={str(outside): sha(outside)})
    journal = webui.root / f'.{NAME}.unfinished.json'
    manifest.rename(journal)
    refuse(source, webui, f'{journal} names {outside}')


@pytest.mark.parametrize(
    'change',
    [
        {'files': []},
        {'files': {'user_data/presets/Airoboros.yaml': 'x'}},
        {'files': {'user_data/presets/Airoboros.yaml': [1]}},
        {'files': {'user_data/presets/Airoboros.yaml': ['folder']}},
        {'files': None},
        {'folders': [1]},
        {'folders': 'x'},
        {'settings': 'x'},
        {'settings': {'before': '&', 'after': None}},
        {'settings': {'before': None}},
        {'mode': 'link'},
        {'mode': 1},
    ],
    ids=str,
)
def test_a_damaged_manifest_is_refused(source, installed, change):
    webui, manifest, _ = installed
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    refuse(source, webui, f'{manifest} is damaged', f'{webui.extension} by hand')


def test_data_on_another_disk_is_still_uninstalled(source, v4):
    """user_data, or its presets, may be a link of the user's own."""
    other = v4.root.parent / 'other-disk'
    v4.data.rename(other)
    v4.data.symlink_to(other)
    (other / 'presets').rename(v4.root.parent / 'presets')
    (other / 'presets').symlink_to(v4.root.parent / 'presets')
    before = snapshot(v4.root.parent)
    run(source, 'webui', v4.root, '--enable')
    run(source, 'uninstall', v4.root)
    assert snapshot(v4.root.parent) == before


def test_a_settings_file_that_is_a_link_stays_one(source, v4):
    target = put(v4.root.parent / 'shared.yaml', 'seed: 1\n')
    v4.settings.symlink_to(target)
    run(source, 'webui', v4.root, '--enable')
    assert v4.settings.is_symlink() and NAME in target.read_text()
    run(source, 'uninstall', v4.root)
    assert os.readlink(v4.settings) == str(target) and target.read_text() == 'seed: 1\n'
