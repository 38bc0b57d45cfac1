"""The cache of compiled libraries, with a stub of five lines for a source: what is kept, for what, and what is damaged."""

import ctypes
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from airoboros_gptq.kernels.cpu import compile as cpu_compile
from airoboros_gptq.kernels.cpu import library_cache
from airoboros_gptq.kernels.cpu.compile import CompileError
from airoboros_gptq.kernels.cpu.library_cache import compiled_library, is_intact, unsupported_reason
from compiled import needs_library
from support import run_python, write_script

STUB = """
#ifdef __AVX512F__
extern "C" int answer() { return 512; }
#else
extern "C" int answer() { return 256; }
#endif
"""


@pytest.fixture
def stub(empty_cache, monkeypatch, tmp_path):
    """The source of the stub, in place of the real one."""
    (tmp_path / 'csrc').mkdir()
    source = tmp_path / 'csrc' / 'library.cpp'
    source.write_text(STUB)
    monkeypatch.setattr(cpu_compile, 'SOURCE', source)
    return source


def compile_library():
    with compiled_library() as library:
        return library


def answer(library):
    return ctypes.CDLL(str(library)).answer()


def messages(caplog):
    return [line for line in caplog.messages if 'compiled the CPU kernel' in line]


pytestmark = needs_library


def test_it_is_compiled_once(stub, empty_cache, monkeypatch, caplog):
    caplog.set_level(logging.INFO, 'airoboros_gptq')
    library = compile_library()
    assert library.parent == empty_cache and is_intact(library) and answer(library) in (256, 512)
    monkeypatch.setenv('PATH', '')  # what was kept needs no compiler
    assert unsupported_reason() is None and compile_library() == library
    assert len(messages(caplog)) == 1 and [p.name for p in empty_cache.iterdir()] == [library.name]


def test_flags_of_the_users_own(stub, monkeypatch):
    kept = compile_library()
    monkeypatch.setenv('AIROBOROS_GPTQ_CXXFLAGS', '-mno-avx512f -O1')
    narrow = compile_library()
    assert narrow != kept and answer(narrow) == 256


@pytest.mark.parametrize('change', ['source', 'header', 'compiler', 'processor'])
def test_each_source_compiler_and_processor_has_its_own(stub, monkeypatch, change):
    kept = compile_library()
    if change == 'source':
        stub.write_text(STUB.replace('256', '257'))
    elif change == 'header':
        stub.with_name('simd.h').write_text('')
    elif change == 'compiler':
        monkeypatch.setenv('CXX', cpu_compile.compiler()[0])
    else:
        monkeypatch.setattr(library_cache, 'cpu_flags', lambda: frozenset(('avx2', 'fma', 'f16c')))
    assert compile_library() != kept


@pytest.mark.parametrize('damage', ['cut short', 'empty', 'one byte'])
def test_a_damaged_library_is_compiled_anew(stub, damage, caplog):
    caplog.set_level(logging.INFO, 'airoboros_gptq')
    library = compile_library()
    content = bytearray(library.read_bytes())
    if damage == 'one byte':
        content[len(content) // 2] ^= 1
    library.unlink()
    library.write_bytes(content[: {'cut short': len(content) // 2, 'empty': 0}.get(damage)])
    assert not is_intact(library)
    assert compile_library() == library and is_intact(library)
    assert len(messages(caplog)) == 2


def test_processes_that_compile_at_once(stub, empty_cache, tmp_path):
    """None starts compiling before all three are at it."""
    wait = 'while [ $(ls "$RUNNING" | wc -l) -lt 3 ]; do sleep 0.01; done'
    cxx = write_script(tmp_path / 'cxx', f'touch "$RUNNING/$$"; {wait}; exec {cpu_compile.compiler()[0]} "$@"')
    (tmp_path / 'running').mkdir()
    program = (
        'import sys; from pathlib import Path; from airoboros_gptq.kernels.cpu import compile as c, library_cache as l\n'
        'c.SOURCE = Path(sys.argv[1])\nwith l.compiled_library() as path: print(l.is_intact(path))'
    )
    environment = {'AIROBOROS_GPTQ_CACHE': str(empty_cache), 'CXX': cxx, 'RUNNING': str(tmp_path / 'running')}
    with ThreadPoolExecutor(3) as pool:
        for code, out, err in pool.map(lambda _: run_python('-c', program, stub, **environment), range(3)):
            assert (code, out.strip()) == (0, 'True'), err
    assert [p.suffix for p in empty_cache.iterdir()] == ['.so']


def test_a_failure_is_remembered_until_the_next_try(stub, monkeypatch, tmp_path):
    fault = tmp_path / 'fault'
    fault.write_text('')
    text = (
        f'[ -e {fault} ] && echo "library.cpp:1: error: disk full" >&2 && exit 1; exec {cpu_compile.compiler()[0]} "$@"'
    )
    monkeypatch.setenv('CXX', write_script(tmp_path / 'cxx', text))
    assert unsupported_reason() is None  # it has not been tried yet
    with pytest.raises(CompileError, match='could not compile it'):
        compile_library()
    assert unsupported_reason().endswith('could not compile it (library.cpp:1: error: disk full)')
    fault.unlink()
    assert is_intact(compile_library()) and unsupported_reason() is None


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('system', 'Windows', 'for Linux on x86-64'),
        ('machine', 'aarch64', 'for Linux on x86-64'),
    ],
)
def test_other_systems(monkeypatch, name, value, words):
    monkeypatch.setattr(cpu_compile.platform, name, lambda: value)
    assert words in unsupported_reason()


def test_a_processor_without_avx2(monkeypatch):
    monkeypatch.setattr(cpu_compile, 'cpu_flags', lambda: frozenset(('sse2', 'fma', 'f16c')))
    assert unsupported_reason() == 'the processor lacks AVX2'


def test_nothing_heavy_is_imported_to_estimate():
    program = (
        'import sys; from airoboros_gptq.kernels.cpu.library_cache import unsupported_reason\n'
        'unsupported_reason(); print("torch" in sys.modules)'
    )
    code, out, err = run_python('-c', program)
    assert (code, out.strip()) == (0, 'False'), err
