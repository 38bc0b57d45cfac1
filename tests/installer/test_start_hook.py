"""The start hook: what PyTorch calls at its import must never make that import fail, whatever state the webui is in."""

import ast
import shutil
import subprocess
import sys
import textwrap

import pytest
from install_helpers import NAME, ROOT, put, run, snapshot

HOOK = ROOT / 'installer' / 'start_hook'
# What torch/__init__.py does at its end.
TORCH = """
from importlib.metadata import entry_points
for backend in entry_points(group='torch.backends'):
    try:
        backend.load()()
    except Exception as err:
        raise RuntimeError(f'Failed to load the backend extension: {backend.name}.') from err
"""


@pytest.fixture
def start(tmp_path):
    """start(code) runs `code` as a webui's server.py: its folder holds modules/, the hook and a small extension."""
    root = tmp_path / 'webui'
    package = root / 'user_data' / 'extensions' / NAME
    put(tmp_path / 'packages' / 'torch' / '__init__.py', TORCH)
    put(root / 'modules' / 'shared.py', 'from pathlib import Path\nuser_data_dir = Path("user_data")\n')
    put(root / 'modules' / 'models.py', 'def load_model(name): return "loaded by the webui"\n')
    put(root / 'modules' / 'transformers_loader.py', 'def load_model(name): return "by Transformers"\n')
    put(package / '__init__.py', '')
    put(package / 'script.py', '')
    put(package / 'webui' / '__init__.py', '')
    put(
        package / 'webui' / 'startup_model.py',
        'def defer_load(module): module.load_model = lambda name: "deferred"\ndef replace_module(module): return False\n',
    )
    shutil.copy(HOOK / 'airoboros_gptq_early.py', root)
    for name in ('METADATA', 'entry_points.txt'):
        put(root / 'airoboros_gptq_early-1.dist-info' / name, (HOOK / name).read_bytes())

    def start(code='', stdout='deferred'):
        put(
            root / 'server.py',
            f'import modules.shared\n{textwrap.dedent(code)}\nimport torch\nimport modules.models as m\n',
        )
        program = f'import sys, runpy; sys.path[:0] = ["", {str(tmp_path / "packages")!r}]; ' + (
            'print(runpy.run_path("server.py")["m"].load_model("x"))'
        )
        done = subprocess.run([sys.executable, '-c', program], cwd=root, capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, stdout), done.stderr
        return done.stderr

    start.root, start.package = root, package
    return start


def test_a_load_before_the_extensions_is_deferred(start):
    assert start() == ''


def test_a_webui_that_imports_torch_with_its_first_model(start):
    """v3.0 and later import PyTorch that late: modules.models is there by then."""
    code = """
        import modules.models
        import torch
        import modules.transformers_loader as m
        assert m.load_model('x') == 'deferred'
    """
    assert start(code) == ''


def test_torch_alone_imports_nothing_of_the_extension(start):
    code = 'import sys; sys.path[:0] = ["", sys.argv[1]]; import torch; print([m for m in sys.modules if m.startswith("airo")])'
    packages = str(start.root.parent / 'packages')
    done = subprocess.run([sys.executable, '-c', code, packages], cwd=start.root, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("['airoboros_gptq_early']", '')


@pytest.mark.parametrize('gone', ['', 'script.py', 'webui/startup_model.py', 'webui'])
def test_it_is_silent_where_the_extension_is_gone(start, gone):
    path = start.package / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert start(stdout='loaded by the webui') == ''


def test_an_unreadable_folder_of_extensions_fails_no_import(start):
    """By what os.stat answers there: root may read everything."""
    unreadable = """
        import os
        stat = os.stat
        def refuse(path, *args, **kwargs):
            if 'extensions' in str(path):
                raise PermissionError(13, 'Permission denied', str(path))
            return stat(path, *args, **kwargs)
        os.stat = refuse
    """
    assert start(unreadable, stdout='loaded by the webui') == ''


@pytest.mark.parametrize('user_data_dir', ['None', '3', '"\\0"', 'object()'])
def test_a_webui_that_keeps_its_data_in_a_strange_place_starts(start, user_data_dir):
    start(f'modules.shared.user_data_dir = {user_data_dir}', stdout='loaded by the webui')


@pytest.mark.parametrize('file', ['__init__.py', 'webui/__init__.py', 'webui/startup_model.py'])
@pytest.mark.parametrize('text', ['raise RuntimeError("broken")', 'import not_there', 'def ('])
def test_a_broken_extension_costs_one_line_on_stderr(start, file, text):
    put(start.package / file, text)
    said = start(stdout='loaded by the webui')
    assert said.startswith('airoboros_gptq: --model is left to the webui (') and said.count('\n') == 1


def test_a_broken_extension_and_a_closed_stderr(start):
    put(start.package / '__init__.py', 'raise RuntimeError')
    start('import sys; sys.stderr.close()', stdout='loaded by the webui')


def test_an_error_of_the_webuis_own_module_stays_as_it_is(start):
    put(start.root / 'modules' / 'transformers_loader.py', 'import torch\nraise KeyError("of the webui")\n')
    code = """
        import modules.models
        import torch
        try:
            import modules.transformers_loader
        except KeyError as error:
            assert error.args == ('of the webui',)
        else:
            raise AssertionError
    """
    assert start(code) == ''


def test_the_functions_it_calls_are_there():
    """It finds them by name, in a module that the package may move."""
    text = ast.parse((HOOK / 'airoboros_gptq_early.py').read_text('utf-8'))
    named = {
        t.id: n.value for n in text.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
    }
    names = [t.elts for n in text.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Tuple)]
    assert [e.id for e in names[0]] == ['DEFER', 'REPLACE']
    values = next(n.value for n in text.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Tuple))
    module = (ROOT / 'extensions' / NAME).joinpath(*ast.literal_eval(named['STARTUP'])).with_suffix('.py')
    defined = {n.name for n in ast.parse(module.read_text('utf-8')).body if isinstance(n, ast.FunctionDef)}
    assert set(ast.literal_eval(values)) <= defined


@pytest.mark.parametrize('changed', ['METADATA', 'entry_points.txt', 'more'])
def test_a_dist_info_folder_that_was_changed_is_left_as_it_is(source, v4, changed):
    """It goes in and out as a whole; an entry point that stays keeps its module."""
    before = snapshot(v4.root)
    run(source, 'webui', v4.root)
    entry, module = v4.root / f'{NAME}_early-1.dist-info', v4.root / f'{NAME}_early.py'
    mine = (entry / changed).read_bytes() + b'\n' if (entry / changed).exists() else b''
    put(entry / changed, mine)
    for name in ('METADATA', 'entry_points.txt'):
        put(source / 'installer' / 'start_hook' / name, (HOOK / name).read_bytes() + b'# newer\n')
    said = run(source, 'webui', v4.root)
    assert f'Kept {entry}' in said and (entry / changed).read_bytes() == mine
    assert b'newer' not in (entry / 'entry_points.txt').read_bytes()
    run(source, 'uninstall', v4.root)
    assert (entry / changed).read_bytes() == mine
    assert module.exists() is (changed == 'entry_points.txt')
    shutil.rmtree(entry)
    module.unlink(missing_ok=True)
    assert snapshot(v4.root) == before


def test_it_can_be_left_out_and_put_in_later(source, v4):
    before = snapshot(v4.root)
    said = run(source, 'webui', v4.root, '--no-start-hook')
    assert not list(v4.root.glob(f'{NAME}_early*')) and 'start hook' not in said
    assert 'the start hook, which PyTorch imports' in run(source, 'webui', v4.root)
    assert len(list(v4.root.glob(f'{NAME}_early*'))) == 2
    run(source, 'webui', v4.root, '--no-start-hook')
    assert not list(v4.root.glob(f'*{NAME}_early*'))
    run(source, 'uninstall', v4.root)
    assert snapshot(v4.root) == before


def test_it_is_a_copy_where_the_rest_is_links(source, v4):
    """A link that leads nowhere any more would leave an entry point without its module."""
    run(source, 'webui', v4.root, '--link')
    paths = [v4.root / f'{NAME}_early.py', *(v4.root / f'{NAME}_early-1.dist-info').iterdir()]
    assert len(paths) == 3 and not any(path.is_symlink() for path in paths)


def test_real_pytorch_calls_it(start):
    pytest.importorskip('torch')
    (start.root.parent / 'packages' / 'torch' / '__init__.py').unlink()
    (start.root.parent / 'packages' / 'torch').rmdir()
    assert start() == ''
