"""Keeps the compiled CPU kernel in the cache folder. Standard library only.

The library's file name is a hash of all that it depends on: source, flags, compiler, processor. Its last bytes are a checksum
of the rest: a file that a full disk cut short must not be loaded. That is no protection from people, who can compute it too:
a library is loaded only from where no other user can write (util/file_trust.py), else from a private folder of this run.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...util.cache_dir import cache_folder, make_private
from ...util.file_trust import untrusted_reason
from ...util.host import cpu_flags
from . import compile as cpu_compile
from .compile import NO_COMPILER, CompileError, compile_flags, compile_source, compiler, unsupported_machine

log = logging.getLogger('airoboros_gptq')

_CHECKSUM_BYTES = 32  # SHA-256
_BUILD_PREFIX, _RUN_PREFIX = 'build-', 'airoboros_gptq-'
_ABANDONED_AFTER_S = 3600
_failures: dict[str, str] = {}  # library's name: why compiling it failed in this process


def unsupported_reason() -> str | None:
    """None where a compiled library can be expected, without compiling it; else the reason, as half a sentence."""
    reason = unsupported_machine()
    if reason is not None:
        return reason
    library = cache_folder() / _library_name()
    if library.is_file() and untrusted_reason(library) is None:
        return None
    if library.name in _failures:
        return _failures[library.name]
    failure = _failure_path(library)
    with suppress(OSError):
        if untrusted_reason(failure) is None:
            return failure.read_text('utf-8')
    return None if compiler() else NO_COMPILER


def will_compile() -> bool:
    """Whether compiled_library() would run the compiler, which takes seconds."""
    library = cache_folder() / _library_name()
    return unsupported_reason() is None and (untrusted_reason(library) is not None or not is_intact(library))


@contextmanager
def compiled_library() -> Iterator[Path]:
    """The compiled library, from the cache where it is intact; to be loaded within. Raises CompileError.

    Where the cache folder will not do, it is compiled into a private folder, which is deleted on leaving.
    """
    library, folder = cache_folder() / _library_name(), None
    _failures.pop(library.name, None)
    with suppress(OSError):
        _failure_path(library).unlink()  # a compiler may have been installed or repaired since
    reason = unsupported_machine()
    if reason is not None:
        raise CompileError(reason)
    try:
        if untrusted_reason(library) is not None or not is_intact(library):
            try:
                log.info('compiled the CPU kernel with %s: %s', _compile_into(library), library)
            except OSError as e:
                folder = _private_folder()
                why, library = _why(library.parent, e), folder / library.name
                log.warning('compiled the CPU kernel with %s, as at each start: %s', _compile_into(library), why)
    except (CompileError, OSError) as e:
        _failures[library.name] = str(e)
        if folder is None and untrusted_reason(library.parent) is None:
            with suppress(OSError):
                _failure_path(library).write_text(str(e), 'utf-8')
        _remove(folder)
        raise CompileError(str(e)) from e
    try:
        yield library
    finally:
        _remove(folder)


def is_intact(library: Path) -> bool:
    """Whether a file is a library that compiled_library() kept, from its first byte to its last."""
    try:
        content = library.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-_CHECKSUM_BYTES]).digest() == content[-_CHECKSUM_BYTES:]


def _library_name() -> str:
    parts = [' '.join(compile_flags()), os.environ.get('CXX', ''), ' '.join(sorted(cpu_flags()))]
    parts += [p.read_text('utf-8') for p in sorted(cpu_compile.SOURCE.parent.iterdir()) if p.suffix in ('.cpp', '.h')]
    return f'gptq_cpu-{hashlib.sha256(chr(0).join(parts).encode("utf-8", "replace")).hexdigest()[:16]}.so'


def _failure_path(library: Path) -> Path:
    """Where the reason stands why compiling `library` failed, so that the memory estimate expects no compiled kernel."""
    return library.with_suffix('.failed')


def _compile_into(library: Path) -> str:
    """Compiles in a fresh private folder beside `library`, which appears complete in one step; with what and how long.

    Raises CompileError where the compiler fails, OSError where the folder will not do.
    """
    make_private(library.parent)
    reason = untrusted_reason(library.parent) or _noexec_reason(library.parent)
    if reason is not None:
        raise PermissionError(reason)
    _remove_abandoned(library.parent)
    folder = Path(tempfile.mkdtemp(prefix=_BUILD_PREFIX, dir=library.parent))
    output, started = folder / 'new.so', time.perf_counter()
    try:
        compile_source(output)
        content = output.read_bytes()
        output.write_bytes(content + hashlib.sha256(content).digest())
        output.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IXUSR)
        os.replace(output, library)
    finally:
        _remove(folder)
    return f'{shlex.join(compiler() or ())} in {time.perf_counter() - started:.1f} s'


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Removes what a compilation that was killed left in the cache."""
    for path in folder.glob(_BUILD_PREFIX + '*'):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(path)


def _private_folder() -> Path:
    """A new folder that only this user can read or write, on a file system that lets code run. Raises CompileError."""
    with suppress(OSError):
        tempfile.gettempdir()  # which looks for one once
    named = (tempfile.tempdir, os.environ.get('XDG_RUNTIME_DIR'), '/tmp', '/var/tmp', '/dev/shm')
    for parent in dict.fromkeys(filter(None, named)):
        with suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix=_RUN_PREFIX, dir=parent))
            if untrusted_reason(folder) is None and _noexec_reason(folder) is None:
                return folder
            folder.rmdir()
    raise CompileError('there is no folder that only this user can write to; name one in AIROBOROS_GPTQ_CACHE')


def _noexec_reason(folder: Path) -> str | None:
    return f'{folder} is on a file system mounted noexec' if os.statvfs(folder).f_flag & os.ST_NOEXEC else None


def _why(folder: Path, error: OSError) -> str:
    """Why a cache folder will not do, as half a sentence with the remedy."""
    reason = str(error) if error.strerror is None else f'{folder} cannot be written ({error.strerror})'
    return f'{reason}; AIROBOROS_GPTQ_CACHE can name a folder of yours'
