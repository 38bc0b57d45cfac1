"""Compiles the CPU kernel with the user's own compiler, once, and keeps it in a cache folder. Standard library alone.

There are no headers of Python or PyTorch in it, so that a bare compiler will do and seconds are enough. What is kept is
named after all that it depends on: source, flags, processor. Its last bytes are a checksum of the rest, since what was
cut short by a full disk must not be run.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from ...util.cache_dir import cache_folder
from ...util.host import cpu_flags

log = logging.getLogger('airoboros_gptq')

FLAGS = ('-std=c++17', '-O3', '-march=native', '-shared', '-fPIC')
_CSRC = Path(__file__).parent / 'csrc'
_SOURCE = 'gemm.cpp'
_NEEDED = {'avx2', 'fma', 'f16c'}
_CHECKSUM = 32  # bytes of a SHA-256
_LONGEST = 300  # seconds; it takes four or five


class CannotBuild(Exception):
    """Why there is no compiled kernel, as half a sentence."""


@lru_cache
def why_not() -> str | None:
    """None where a compiled kernel can be expected, without compiling it; else the reason, as half a sentence."""
    if os.environ.get('AIROBOROS_GPTQ_NATIVE') == '0':
        return 'AIROBOROS_GPTQ_NATIVE=0 switches it off'
    if platform.system() != 'Linux' or platform.machine() not in ('x86_64', 'AMD64'):
        return 'it is for Linux on x86-64'
    if not cpu_flags() >= _NEEDED:
        return 'the processor lacks AVX2'
    kept = _kept()
    if kept.is_file():
        return None
    with suppress(OSError):
        return kept.with_suffix('.failed').read_text('utf-8')
    return None if compiler() else 'there is no C++ compiler (g++ or clang++)'


def library() -> Path:
    """The compiled kernel, compiled now if it was not before. Raises CannotBuild."""
    kept = _kept()
    failed = kept.with_suffix('.failed')
    with suppress(OSError):
        failed.unlink()  # a compiler may have been mended since
    why_not.cache_clear()
    reason = why_not()
    if reason is not None:
        raise CannotBuild(reason)
    if is_whole(kept):
        return kept
    try:
        return _build(kept)
    except CannotBuild as e:
        with suppress(OSError):
            failed.write_text(str(e), 'utf-8')
        why_not.cache_clear()
        raise


def is_whole(path: Path) -> bool:
    """Whether the file at `path` is one that was kept, from its first byte to its last."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-_CHECKSUM]).digest() == content[-_CHECKSUM:]


def compiler() -> str | None:
    """The C++ compiler: the one that $CXX names, else the first that there is."""
    named = os.environ.get('CXX')
    return shutil.which(named) if named else next(filter(None, map(shutil.which, ('g++', 'clang++', 'c++'))), None)


def flags() -> tuple[str, ...]:
    """What the compiler is given: FLAGS, then $AIROBOROS_GPTQ_CXXFLAGS, such as `-mno-avx512f` to measure AVX2 alone."""
    return (*FLAGS, *shlex.split(os.environ.get('AIROBOROS_GPTQ_CXXFLAGS', '')))


def _kept() -> Path:
    parts = [' '.join(flags()), os.environ.get('CXX', ''), ' '.join(sorted(cpu_flags()))]
    parts += [p.read_text('utf-8') for p in sorted(_CSRC.iterdir()) if p.suffix in ('.cpp', '.h')]
    return cache_folder() / f'gptq_cpu-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.so'


def _build(kept: Path) -> Path:
    """Compiles to `kept`, in one step as others see it, or beside it where that cannot be written."""
    by = compiler()
    if by is None:
        raise CannotBuild('there is no C++ compiler (g++ or clang++)')
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(dir=kept.parent)
    except OSError:
        folder = tempfile.mkdtemp(prefix='airoboros_gptq-')
        kept = Path(folder, kept.name)
        log.info('%s cannot be written, so the CPU kernel is compiled at each start', cache_folder())
    made = Path(folder, 'made.so')
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [by, *flags(), '-o', str(made), str(_CSRC / _SOURCE)], capture_output=True, text=True, timeout=_LONGEST
        )
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if 'error' in line] or done.stderr.splitlines() or ['']
            raise CannotBuild(f'{by} could not compile it ({errors[0].strip()})')
        content = made.read_bytes()
        made.write_bytes(content + hashlib.sha256(content).digest())
        os.replace(made, kept)
    except (OSError, subprocess.SubprocessError) as e:
        raise CannotBuild(f'{by} could not compile it ({e})') from e
    finally:
        made.unlink(missing_ok=True)
        if kept.parent != Path(folder):
            shutil.rmtree(folder, ignore_errors=True)
    log.info('compiled the CPU kernel with %s in %.1f s: %s', by, time.perf_counter() - started, kept)
    return kept
