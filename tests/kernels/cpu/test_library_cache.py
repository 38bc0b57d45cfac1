"""Where the compiled library may be loaded from, with a stub of a source, as each of several users and systems has it."""

import ctypes
import logging
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from airoboros_gptq.kernels.cpu import compile as cpu_compile
from airoboros_gptq.kernels.cpu import library_cache
from airoboros_gptq.kernels.cpu.compile import CompileError
from airoboros_gptq.kernels.cpu.library_cache import compiled_library, is_intact
from airoboros_gptq.util import file_trust
from compiled import needs_library
from support import write_script

pytestmark = needs_library
OTHER_USER = 12345


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """The temporary directory, as /tmp: anyone may write, none may rename what is not his."""
    folder = tmp_path / 'tmp'
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, 'tempdir', str(folder))
    return folder


@pytest.fixture
def stub(empty_cache, temporary, monkeypatch, tmp_path, caplog):
    """A source in place of the real one, whose function gives 1."""
    caplog.set_level(logging.INFO, 'airoboros_gptq')
    (tmp_path / 'csrc').mkdir()
    source = tmp_path / 'csrc' / 'library.cpp'
    source.write_text('extern "C" int answer() { return 1; }')
    monkeypatch.setattr(cpu_compile, 'SOURCE', source)
    monkeypatch.setattr(file_trust, '_is_own_group', lambda gid: False)
    cpu_compile._say_once.cache_clear()
    return source


@pytest.fixture
def theirs(monkeypatch):
    """theirs(path): as if another user owned it from now on."""
    paths, own = set(), file_trust._is_trusted_owner

    def is_trusted(found):
        return own(found) and (found.st_dev, found.st_ino) not in paths

    def give(path):
        found = path.lstat()
        paths.add((found.st_dev, found.st_ino))

    monkeypatch.setattr(file_trust, '_is_trusted_owner', is_trusted)
    return give


def load():
    """What the library's function gives, and the library's path."""
    with compiled_library() as library:
        return ctypes.CDLL(str(library)).answer(), library


def forge(library):
    """Another user's code where the library is looked for, with a checksum that holds."""
    library.parent.mkdir(parents=True, exist_ok=True)
    code = library.with_name('forged.cpp')
    code.write_text('extern "C" int answer() { return 666; }')
    source, cpu_compile.SOURCE = cpu_compile.SOURCE, code
    try:
        library_cache._compile_into(library)
    finally:
        cpu_compile.SOURCE = source
        code.unlink()
    assert is_intact(library)


def expect_private(empty_cache, temporary, caplog, why):
    """That the library runs from a private folder, which is gone afterwards, and that one line says why."""
    answer, library = load()
    assert answer == 1 and library.parent.parent == temporary
    assert list(temporary.iterdir()) == []
    assert len(caplog.messages) == 1 and why in caplog.messages[0] and 'AIROBOROS_GPTQ_CACHE' in caplog.messages[0]


def test_the_cache_is_for_its_user_alone(stub, empty_cache):
    old = os.umask(0)
    try:
        answer, library = load()
    finally:
        os.umask(old)
    assert answer == 1 and library.parent == empty_cache and list(empty_cache.iterdir()) == [library]
    assert stat.S_IMODE(empty_cache.stat().st_mode) == stat.S_IMODE(library.stat().st_mode) == 0o700


def test_it_is_compiled_in_a_fresh_private_folder(stub, tmp_path, monkeypatch):
    """The compiler notes the mode of the folder that it writes to, and where its own temporary files go."""
    text = f'while [ "$1" != -o ]; do shift; done; stat -c "%a $TMPDIR" $(dirname $2) > {tmp_path}/mode; exit 1'
    monkeypatch.setenv('CXX', write_script(tmp_path / 'cxx', text))
    with pytest.raises(CompileError):
        load()
    mode, folder = (tmp_path / 'mode').read_text().split()
    assert mode == '700' and not Path(folder).exists()


def test_another_users_library_is_not_loaded(stub, empty_cache, theirs):
    with compiled_library() as library:
        pass
    library.unlink()
    forge(library)
    theirs(library)
    assert load()[0] == 1


@pytest.mark.parametrize('mode', [0o777, 0o775, 0o702])
def test_a_library_that_others_can_write_is_not_loaded(stub, mode):
    with compiled_library() as library:
        pass
    forge(library)
    library.chmod(mode)
    assert load()[0] == 1


def test_another_users_cache_folder(stub, empty_cache, temporary, theirs, caplog):
    """As one under the temporary directory that was made before this user came, or a home in a container."""
    with compiled_library() as library:
        pass
    forge(library)
    theirs(empty_cache)
    caplog.clear()
    expect_private(empty_cache, temporary, caplog, 'belongs to another user')


@pytest.mark.parametrize('mode', [0o777, 0o1777, 0o775])
def test_a_cache_folder_that_others_can_write(stub, empty_cache, temporary, caplog, mode):
    with compiled_library() as library:
        pass
    forge(library)
    empty_cache.chmod(mode)
    caplog.clear()
    expect_private(empty_cache, temporary, caplog, 'other users can write')
    assert stat.S_IMODE(empty_cache.stat().st_mode) == mode  # it is the user's, who named it


def test_a_folder_above_that_others_can_write(stub, monkeypatch, tmp_path, empty_cache, temporary, caplog):
    (tmp_path / 'shared').mkdir()
    (tmp_path / 'shared').chmod(0o777)
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path / 'shared' / 'mine'))
    expect_private(empty_cache, temporary, caplog, 'other users can write')


def test_without_a_home(stub, monkeypatch, temporary):
    """A folder with a name that anyone can guess, which is used as long as it is this user's."""
    monkeypatch.delenv('AIROBOROS_GPTQ_CACHE')
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setattr(Path, 'home', lambda: (_ for _ in ()).throw(RuntimeError('no home')))
    answer, library = load()
    assert answer == 1 and library.parent == temporary / f'airoboros_gptq-{os.getuid()}'
    assert stat.S_IMODE(library.parent.stat().st_mode) == 0o700


def test_without_a_home_where_another_user_was_there_first(stub, monkeypatch, empty_cache, temporary, theirs, caplog):
    monkeypatch.delenv('AIROBOROS_GPTQ_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', 'relative')
    monkeypatch.setenv('HOME', 'relative')
    guessed = temporary / f'airoboros_gptq-{os.getuid()}'
    guessed.mkdir()
    theirs(guessed)
    answer, library = load()
    assert answer == 1 and library.parent not in (guessed, temporary)
    assert list(temporary.iterdir()) == [guessed] and list(guessed.iterdir()) == []
    assert len(caplog.messages) == 1 and 'belongs to another user' in caplog.messages[0]


@pytest.mark.parametrize('blocked', ['a file', 'not writable', 'noexec'])
def test_a_cache_folder_that_cannot_be_used(stub, monkeypatch, tmp_path, empty_cache, temporary, caplog, blocked):
    if blocked == 'a file':
        (tmp_path / 'file').write_text('')
        monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path / 'file' / 'cache'))
        why = 'cannot be written (Not a directory)'
    elif blocked == 'noexec':
        real = library_cache._noexec_reason
        refused = 'is on a file system mounted noexec'
        monkeypatch.setattr(library_cache, '_noexec_reason', lambda p: refused if p == empty_cache else real(p))
        why = refused
    else:
        mkdtemp = tempfile.mkdtemp

        def read_only(prefix, dir):
            if Path(dir) == empty_cache:
                raise OSError(30, 'Read-only file system', str(dir))
            return mkdtemp(prefix=prefix, dir=dir)

        monkeypatch.setattr(tempfile, 'mkdtemp', read_only)
        why = 'cannot be written (Read-only file system)'
    expect_private(empty_cache, temporary, caplog, why)


def test_no_folder_at_all_is_a_sentence(stub, empty_cache, theirs, caplog):
    theirs(Path('/'))
    with pytest.raises(
        CompileError, match='no folder that only this user can write to; name one in AIROBOROS_GPTQ_CACHE'
    ):
        load()
    assert 'no folder that only this user' in library_cache.unsupported_reason()


def test_what_a_killed_compilation_left_is_removed(stub, empty_cache):
    empty_cache.mkdir(0o700)
    abandoned, running = empty_cache / 'build-abandoned', empty_cache / 'build-running'
    for folder in (abandoned, running):
        folder.mkdir()
        (folder / 'new.so').write_text('')
    os.utime(abandoned, (0, 0))
    load()
    assert not abandoned.exists() and running.exists()


@pytest.mark.parametrize('variable', ['CXX', 'AIROBOROS_GPTQ_CXXFLAGS'])
def test_an_open_quote_in_a_variable_is_a_sentence_and_it_works(stub, monkeypatch, caplog, variable):
    monkeypatch.setenv(variable, 'g++ "-O1')
    assert load()[0] == 1 and load()[0] == 1
    said = [line for line in caplog.messages if variable in line]
    assert len(said) == 1 and 'a quote in it is not closed' in said[0]


def test_a_compiler_that_is_a_command_of_two_words(stub, monkeypatch, tmp_path):
    wrapper = write_script(tmp_path / 'ccache', f'touch {tmp_path}/used; exec "$@"')
    monkeypatch.setenv('CXX', f'{wrapper} {cpu_compile.compiler()[0]}')
    assert load()[0] == 1 and (tmp_path / 'used').exists()


def test_a_compiler_that_is_not_there_is_a_sentence_and_it_works(stub, monkeypatch, caplog):
    monkeypatch.setenv('CXX', 'no-such-compiler -x')
    assert load()[0] == 1
    assert any('CXX names `no-such-compiler`, which is not there' in line for line in caplog.messages)


def test_a_pipe_in_place_of_the_library_is_not_read(stub, empty_cache):
    with compiled_library() as library:
        pass
    library.unlink()
    os.mkfifo(library)
    assert load()[0] == 1 and library.is_file()


def test_a_folder_in_place_of_the_library(stub, empty_cache, temporary, caplog):
    with compiled_library() as library:
        pass
    library.unlink()
    library.mkdir()
    caplog.clear()
    expect_private(empty_cache, temporary, caplog, 'cannot be written (Is a directory)')
    shutil.rmtree(library)
    assert load()[1] == library
