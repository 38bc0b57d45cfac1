"""Compiles the CPU kernel with the user's own compiler. Standard library only; library_cache.py keeps the result.

The source includes no headers of Python or PyTorch, so a bare compiler is enough and compiling takes seconds.
"""

from __future__ import annotations

import logging
import os
import platform
import shlex
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from ...util.host import cpu_flags

log = logging.getLogger('airoboros_gptq')

FLAGS = ('-std=c++17', '-O3', '-march=native', '-shared', '-fPIC', '-pthread')
SOURCE = Path(__file__).parent / 'csrc' / 'library.cpp'  # it includes the headers beside it
NO_COMPILER = 'there is no C++ compiler (g++ or clang++)'
_REQUIRED_CPU_FLAGS = {'avx2', 'fma', 'f16c'}
_TIMEOUT_S = 300  # it takes four or five


class CompileError(Exception):
    """Why there is no compiled library, as half a sentence."""


def unsupported_machine() -> str | None:
    """None where the source is for this machine and not switched off; else the reason, as half a sentence."""
    if os.environ.get('AIROBOROS_GPTQ_NATIVE') == '0':
        return 'AIROBOROS_GPTQ_NATIVE=0 switches it off'
    if platform.system() != 'Linux' or platform.machine() not in ('x86_64', 'AMD64'):
        return 'it is for Linux on x86-64'
    if not cpu_flags() >= _REQUIRED_CPU_FLAGS:
        return 'the processor lacks AVX2'
    return None


def compiler() -> tuple[str, ...] | None:
    """The C++ compiler as a command: the one of $CXX, as `ccache g++`, else the first of g++, clang++ and c++ on the PATH."""
    named = _words('CXX')
    if named:
        path = shutil.which(named[0])
        if path:
            return (path, *named[1:])
        _say_once(
            f'CXX names `{named[0]}`, which is not there; the CPU kernel is compiled with the compiler of the PATH'
        )
    found = next(filter(None, map(shutil.which, ('g++', 'clang++', 'c++'))), None)
    return None if found is None else (found,)


def compile_flags() -> tuple[str, ...]:
    """FLAGS, then those of $AIROBOROS_GPTQ_CXXFLAGS, as `-mno-avx512f` to measure AVX2 alone."""
    return (*FLAGS, *_words('AIROBOROS_GPTQ_CXXFLAGS'))


def compile_source(output: Path) -> None:
    """Compiles SOURCE to `output`, whose folder takes the compiler's own temporary files too. Raises CompileError."""
    cxx = compiler()
    if cxx is None:
        raise CompileError(NO_COMPILER)
    try:
        command = [*cxx, *compile_flags(), '-o', str(output), str(SOURCE)]
        environment = {**os.environ, 'TMPDIR': str(output.parent)}
        done = subprocess.run(
            command, capture_output=True, text=True, errors='replace', timeout=_TIMEOUT_S, env=environment
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise CompileError(f'{shlex.join(cxx)} could not compile it ({e})') from e
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if 'error' in line] or done.stderr.splitlines() or ['']
        raise CompileError(f'{shlex.join(cxx)} could not compile it ({errors[0].strip()[:300]})')
    if not output.is_file():
        raise CompileError(f'{shlex.join(cxx)} could not compile it (it wrote no file)')


def _words(variable: str) -> tuple[str, ...]:
    """The words of an environment variable as a shell splits them; none where a quote in it is not closed."""
    text = os.environ.get(variable, '')
    try:
        return tuple(shlex.split(text))
    except ValueError:
        _say_once(f'{variable} is not used, since a quote in it is not closed: {text[:200]!r}')
        return ()


@lru_cache
def _say_once(line: str) -> None:
    log.warning('%s', line)
