"""Compiles the CPU kernel with the user's own compiler, once, and keeps it in the cache folder. Standard library only.

The source includes no headers of Python or PyTorch, so a bare compiler is enough and compiling takes seconds. The library's
file name is a hash of all that it depends on: source, flags, compiler, processor. Its last bytes are a checksum of the rest:
a file that a full disk cut short must not be loaded.
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
from pathlib import Path

from ...util.cache_dir import cache_folder
from ...util.host import cpu_flags

log = logging.getLogger('airoboros_gptq')

FLAGS = ('-std=c++17', '-O3', '-march=native', '-shared', '-fPIC')
SOURCE = Path(__file__).parent / 'csrc' / 'library.cpp'  # it includes the headers beside it
_REQUIRED_CPU_FLAGS = {'avx2', 'fma', 'f16c'}
_CHECKSUM_BYTES = 32  # SHA-256
_TIMEOUT_S = 300  # it takes four or five
_NO_COMPILER = 'there is no C++ compiler (g++ or clang++)'


class CompileError(Exception):
    """Why there is no compiled library, as half a sentence."""


def unsupported_reason() -> str | None:
    """None where a compiled library can be expected, without compiling it; else the reason, as half a sentence."""
    if os.environ.get('AIROBOROS_GPTQ_NATIVE') == '0':
        return 'AIROBOROS_GPTQ_NATIVE=0 switches it off'
    if platform.system() != 'Linux' or platform.machine() not in ('x86_64', 'AMD64'):
        return 'it is for Linux on x86-64'
    if not cpu_flags() >= _REQUIRED_CPU_FLAGS:
        return 'the processor lacks AVX2'
    library = _library_path()
    if library.is_file():
        return None
    with suppress(OSError):
        return _failure_path(library).read_text('utf-8')
    return None if compiler() else _NO_COMPILER


def compile_library() -> Path:
    """The compiled library, from the cache where it is intact. Raises CompileError."""
    library = _library_path()
    failure = _failure_path(library)
    with suppress(OSError):
        failure.unlink()  # a compiler may have been installed or repaired since
    reason = unsupported_reason()
    if reason is not None:
        raise CompileError(reason)
    if is_intact(library):
        return library
    try:
        return _compile(library)
    except CompileError as e:
        with suppress(OSError):
            failure.write_text(str(e), 'utf-8')
        raise


def is_intact(library: Path) -> bool:
    """Whether a file is a library that compile_library() kept, from its first byte to its last."""
    try:
        content = library.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-_CHECKSUM_BYTES]).digest() == content[-_CHECKSUM_BYTES:]


def compiler() -> str | None:
    """The path of the C++ compiler: the one that $CXX names, else the first of g++, clang++ and c++ on the PATH."""
    named = os.environ.get('CXX')
    return shutil.which(named) if named else next(filter(None, map(shutil.which, ('g++', 'clang++', 'c++'))), None)


def compile_flags() -> tuple[str, ...]:
    """FLAGS, then those of $AIROBOROS_GPTQ_CXXFLAGS, as `-mno-avx512f` to measure AVX2 alone."""
    return (*FLAGS, *shlex.split(os.environ.get('AIROBOROS_GPTQ_CXXFLAGS', '')))


def _library_path() -> Path:
    parts = [' '.join(compile_flags()), os.environ.get('CXX', ''), ' '.join(sorted(cpu_flags()))]
    parts += [p.read_text('utf-8') for p in sorted(SOURCE.parent.iterdir()) if p.suffix in ('.cpp', '.h')]
    return cache_folder() / f'gptq_cpu-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.so'


def _failure_path(library: Path) -> Path:
    """Where the reason stands why compiling `library` failed, so that the memory estimate expects no compiled kernel."""
    return library.with_suffix('.failed')


def _compile(library: Path) -> Path:
    """Compiles to `library`, which appears complete in one step; or, where the cache cannot be written, to a temporary file."""
    cxx = compiler()
    if cxx is None:
        raise CompileError(_NO_COMPILER)
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(dir=library.parent)
    except OSError:
        folder = tempfile.mkdtemp(prefix='airoboros_gptq-')
        library = Path(folder, library.name)
        log.info('%s cannot be written, so the CPU kernel is compiled at each start', cache_folder())
    output = Path(folder, 'new.so')
    started = time.perf_counter()
    try:
        command = [cxx, *compile_flags(), '-o', str(output), str(SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if 'error' in line] or done.stderr.splitlines() or ['']
            raise CompileError(f'{cxx} could not compile it ({errors[0].strip()})')
        content = output.read_bytes()
        output.write_bytes(content + hashlib.sha256(content).digest())
        os.replace(output, library)
    except (OSError, subprocess.SubprocessError) as e:
        raise CompileError(f'{cxx} could not compile it ({e})') from e
    finally:
        output.unlink(missing_ok=True)
        if library.parent != Path(folder):
            shutil.rmtree(folder, ignore_errors=True)
    log.info('compiled the CPU kernel with %s in %.1f s: %s', cxx, time.perf_counter() - started, library)
    return library
