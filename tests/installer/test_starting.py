"""install.py starts wherever Python does: without site-packages, from a safe path, and it says what it lacks."""

import ast
import io
import shutil
from contextlib import redirect_stdout

import pytest
from install_helpers import ROOT, run, snapshot

INSTALL = ROOT / 'install.py'


@pytest.mark.parametrize(
    ('options', 'env'),
    [((), {'PYTHONSAFEPATH': '1'}), (('-I', '-S'), {})],
    ids=['safe path', 'isolated, the standard library alone'],
)
def test_it_needs_nothing_but_its_own_folder(source, v4, options, env):
    before, before_source = snapshot(v4.root), snapshot(source)
    run(source, 'webui', v4.root, '--enable', options=options, **env)
    run(source, 'uninstall', v4.root, options=options, **env)
    assert (snapshot(v4.root), snapshot(source)) == (before, before_source)


def test_the_version_is_one_and_the_same():
    import airoboros_gptq.cli

    assert run(ROOT, '--version') == f'airoboros_gptq {airoboros_gptq.__version__}\n'
    with pytest.raises(SystemExit), redirect_stdout(io.StringIO()) as said:
        airoboros_gptq.cli.main(['--version'])
    assert said.getvalue() == f'airoboros_gptq {airoboros_gptq.__version__}\n'
    project = ROOT.joinpath('pyproject.toml').read_text('utf-8')
    assert 'attr = "airoboros_gptq.__version__"' in project and '\nversion = "' not in project


def test_an_older_python_gets_one_sentence(tmp_path, v4):
    ast.parse(INSTALL.read_text('utf-8'), feature_version=(3, 8))
    as_old = "import runpy, sys; sys.version_info = (3, 8, 18); runpy.run_path(sys.argv[1], run_name='__main__')"
    # Beside nothing that could be imported: the version is looked at first.
    shutil.copy(INSTALL, tmp_path / 'install.py')
    said = run(tmp_path, 'webui', v4.root, code=1, options=['-c', as_old])
    assert said == 'install.py needs Python 3.10 or newer, this is 3.8.\n'


@pytest.mark.parametrize(
    'missing', ['installer/files.py', 'extensions/airoboros_gptq/script.py', 'extensions/airoboros_gptq', 'installer']
)
def test_an_incomplete_copy_is_said_in_one_sentence(source, v4, missing):
    before = snapshot(v4.root)
    path = source / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = run(source, 'webui', v4.root, code=1, options=['-I'])
    assert str(source) in said and 'from a complete copy of the project' in said
    assert snapshot(v4.root) == before
