"""Who can have written a file: owners, modes, links and sticky folders."""

import os
import sys
from pathlib import Path

import pytest
from airoboros_gptq.util import file_trust
from airoboros_gptq.util.file_trust import untrusted_reason

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='owners and modes of Unix')


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """top/middle/file, which only this user can write, whose group has others in it."""
    monkeypatch.setattr(file_trust, '_is_own_group', lambda gid: False)
    path = tmp_path / 'top' / 'middle' / 'file'
    path.parent.mkdir(parents=True)
    path.write_text('')
    for at in (path, path.parent, path.parent.parent):
        at.chmod(0o700)
    return path


def give_away(monkeypatch, *paths):
    """As if another user owned these."""
    theirs = {(p.lstat().st_dev, p.lstat().st_ino) for p in paths}
    monkeypatch.setattr(file_trust, '_is_trusted_owner', lambda s: (s.st_dev, s.st_ino) not in theirs)


def test_a_file_of_this_users(tree):
    assert untrusted_reason(tree) is None and untrusted_reason(tree.parent) is None


@pytest.mark.parametrize('up', [0, 1, 2])
@pytest.mark.parametrize('mode', [0o702, 0o720])
def test_others_that_can_write_anywhere_on_the_way(tree, up, mode):
    at = (tree, *tree.parents)[up]
    at.chmod(mode)
    assert untrusted_reason(tree) == f'other users can write to {at}'


def test_a_sticky_folder_can_stand_on_the_way_and_not_hold_the_file(tree):
    tree.parent.parent.chmod(0o1777)
    assert untrusted_reason(tree) is None
    tree.parent.chmod(0o1777)
    assert untrusted_reason(tree) == f'other users can write to {tree.parent}' == untrusted_reason(tree.parent)


@pytest.mark.parametrize('up', [0, 1, 2])
def test_another_owner_anywhere_on_the_way(tree, monkeypatch, up):
    at = (tree, *tree.parents)[up]
    give_away(monkeypatch, at)
    assert untrusted_reason(tree) == f'{at} belongs to another user'


def test_a_link_is_followed_and_judged_itself(tree, tmp_path, monkeypatch):
    link = tmp_path / 'link'
    link.symlink_to('top/middle/../middle')
    assert untrusted_reason(link / 'file') is None and untrusted_reason(link / '..' / 'middle' / 'file') is None
    tree.parent.parent.chmod(0o777)
    assert untrusted_reason(link / 'file') == f'other users can write to {tree.parent.parent}'
    tree.parent.parent.chmod(0o755)
    give_away(monkeypatch, link)
    assert untrusted_reason(link / 'file') == f'{link} belongs to another user'


def test_links_without_end(tmp_path):
    (tmp_path / 'a').symlink_to(tmp_path / 'b')
    (tmp_path / 'b').symlink_to(tmp_path / 'a')
    assert 'too many links' in untrusted_reason(tmp_path / 'a')


def test_a_relative_path(tree, monkeypatch):
    monkeypatch.chdir(tree.parent)
    assert untrusted_reason(Path('file')) is None
    tree.parent.chmod(0o777)
    assert untrusted_reason(Path('file')) == f'other users can write to {tree.parent}'


def test_what_is_no_file_or_not_there(tree):
    assert untrusted_reason(tree.with_name('missing')).endswith('cannot be read (No such file or directory)')
    assert 'is not a regular file' in untrusted_reason(tree / 'below')
    os.mkfifo(tree.with_name('pipe'))
    assert 'is not a regular file' in untrusted_reason(tree.with_name('pipe'))


def test_the_private_group_that_systems_make_for_each_user(tree, monkeypatch):
    tree.chmod(0o770)
    assert untrusted_reason(tree) == f'other users can write to {tree}'
    monkeypatch.setattr(file_trust, '_is_own_group', lambda gid: True)
    assert untrusted_reason(tree) is None
    monkeypatch.setattr(file_trust, '_has_acl', lambda path: True)
    assert untrusted_reason(tree) == f'other users can write to {tree}'
