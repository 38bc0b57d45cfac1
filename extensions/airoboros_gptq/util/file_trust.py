"""Whether another user of the machine can have written a file, or can replace it. Standard library alone.

Code must not be loaded from a path that someone else can write to. So the file and every folder and link on the way to it
must belong to this user or to root, and no one else may write there. In a sticky folder such as /tmp others may add entries
and may not rename or delete ours, so it can stand on the way, but cannot hold the file itself.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_MAX_LINKS = 40  # as Linux
_ROOT = 0


def untrusted_reason(path: Path) -> str | None:
    """None where only this user and root can change what is read from `path`, a file or a folder that exists.

    Else the reason, as half a sentence. A folder is judged as one that is to hold a file.
    """
    if not hasattr(os, 'getuid'):
        return 'this system does not tell who can write to a file'
    try:
        return _untrusted_reason(path)
    except OSError as e:
        return f'{path} cannot be read ({e.strerror or e})'


def _untrusted_reason(path: Path) -> str | None:
    absolute = path if path.is_absolute() else Path.cwd() / path
    at, rest, links = Path(absolute.anchor), list(absolute.parts[1:]), 0
    while True:
        found = at.lstat()
        if not _is_trusted_owner(found):
            return f'{at} belongs to another user'
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MAX_LINKS:
                return f'{path} has too many links'
            target = Path(os.readlink(at))
            at = Path(target.anchor) if target.is_absolute() else at.parent
            rest = [*target.parts[target.is_absolute() :], *rest]
        elif not stat.S_ISDIR(found.st_mode) and (rest or not stat.S_ISREG(found.st_mode)):
            return f'{at} is not a regular file'
        elif _others_can_write(at, found) and not (rest and found.st_mode & stat.S_ISVTX):
            return f'other users can write to {at}'
        if not rest:
            break
        at = at.parent if rest[0] == '..' else at / rest[0]
        del rest[0]
    if not at.is_dir() and _others_can_write(at.parent, at.parent.lstat()):
        return f'other users can write to {at.parent}'
    return None


def _is_trusted_owner(found: os.stat_result) -> bool:
    return found.st_uid in (os.getuid(), _ROOT)


def _others_can_write(path: Path, found: os.stat_result) -> bool:
    """An ACL that lets someone write shows in the bits of the group. A group of this user's own counts as the user."""
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and (_has_acl(path) or not _is_own_group(found.st_gid))


def _has_acl(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, 'system.posix_acl_access')) if hasattr(os, 'getxattr') else False
    except OSError:
        return False


def _is_own_group(gid: int) -> bool:
    """Whether a group is the private one that many systems make for each user: of the user's name, without members."""
    import grp
    import pwd

    with suppress(KeyError, OSError):
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.getuid())
        return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return False
