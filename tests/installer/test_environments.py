"""The webui's environment, which is checked, and .venv, in which the demo and the tests run."""

import json
import os

import pytest
from install_helpers import NAME, put, run

from installer import InstallError, commands, demo_and_tests, own_environment
from installer.check_environment import requirements
from installer.own_environment import TORCH, make_environment


def fake_python(path, answer):
    """A program that answers as a Python with these packages would."""
    put(path, f"#!/bin/sh\necho '{answer if isinstance(answer, str) else json.dumps(answer)}'\n").chmod(0o755)
    return path


GOOD = {'python': '3.13.1', 'torch': '2.10.0+cu128', 'transformers': '5.6.1', 'accelerate': '1.13.0'}
GOOD |= {'safetensors': '0.7.0', 'gradio': '4.37.2+custom.21', 'tqdm': '4.67.1'}


@pytest.mark.skipif(os.name == 'nt', reason='the fakes are shell scripts')
@pytest.mark.parametrize(
    ('answer', 'says'),
    [
        (GOOD, 'has all that is needed: python 3.13.1, torch 2.10.0+cu128'),
        ({**GOOD, 'torch': '2.2.1'}, f'lacks torch>={requirements()["torch"]} (it has'),
        ({k: v for k, v in GOOD.items() if k not in ('gradio', 'accelerate')}, 'lacks accelerate>=1.0, gradio'),
        ({**GOOD, 'python': '3.9.18', 'transformers': '4.5.1'}, 'lacks python>=3.10, transformers>=4.46'),
        ('hello', 'Environment not checked'),
        ('[]', 'Environment not checked'),
    ],
)
@pytest.mark.parametrize('place', ['installer_files/env/bin/python', 'venv/bin/python', '--python'])
def test_the_environment_is_looked_at_and_never_in_the_way(source, v4, tmp_path, answer, says, place):
    elsewhere = place == '--python'
    python = fake_python(tmp_path / 'python' if elsewhere else v4.root / place, answer)
    said = run(source, 'webui', v4.root, *(['--python', python] if elsewhere else []))
    assert says in said and str(python) in said
    assert (v4.extension / 'script.py').exists()


def test_no_python_is_said_and_the_active_environment_is_a_last_resort(source, v4, tmp_path):
    assert 'Environment not checked: no Python' in run(source, 'webui', v4.root)
    if os.name != 'nt':
        fake_python(tmp_path / 'active' / 'bin' / 'python', GOOD)
        said = run(source, 'webui', v4.root, VIRTUAL_ENV=str(tmp_path / 'active'))
        assert 'the active environment' in said and 'all that is needed' in said


def test_what_is_needed_stands_in_pyproject_alone():
    assert requirements()['torch'] and requirements()['transformers'] and 'sentencepiece' not in requirements()


def installed(calls):
    """What pip was asked for since the last look."""
    wanted = [c.split('pip install ')[1] for c in calls.commands if 'pip install ' in c]
    calls.commands.clear()
    return wanted


@pytest.mark.skipif(os.name == 'nt', reason='the fakes are shell scripts')
def test_the_environment_is_made_once_and_again_when_it_must_be(calls, source):
    make_environment(['demo'])
    assert installed(calls) == [TORCH, '-e .[demo]']
    make_environment(['demo'])
    assert installed(calls) == []
    make_environment(['demo', 'test'])
    assert installed(calls)[1] == '-e .[demo,test]'
    make_environment(['demo'])
    assert installed(calls) == []
    (source / 'pyproject.toml').write_text('# changed')
    make_environment(['demo'])
    assert installed(calls) == [TORCH, '-e .[demo]']
    (own_environment.VENV / 'bin' / 'python').unlink()
    make_environment(['demo'])
    assert ' -m venv ' in ' '.join(calls.commands)


@pytest.mark.skipif(os.name == 'nt', reason='the fakes are shell scripts')
def test_an_environment_that_pip_left_half_made_is_taken_up_again(calls):
    calls.codes['-e .'] = 1
    with pytest.raises(InstallError, match='pip could not install'):
        make_environment(['demo'])
    calls.codes.clear()
    installed(calls)
    make_environment(['demo'])
    assert installed(calls) == [TORCH, '-e .[demo]']


def test_an_environment_of_yours_is_not_wiped(calls):
    put(own_environment.VENV / 'bin' / 'mine', '')
    with pytest.raises(InstallError, match=r'was not made by install\.py'):
        make_environment(['demo'])
    assert (own_environment.VENV / 'bin' / 'mine').exists()


def test_a_python_without_ensurepip_names_the_package(calls, monkeypatch):
    monkeypatch.setattr(own_environment.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(InstallError, match='python3-venv'):
        make_environment(['demo'])


def test_arguments_are_passed_on(main, calls, monkeypatch, tmp_path):
    monkeypatch.setattr(demo_and_tests, 'make_environment', lambda extras: 'PYTHON')
    monkeypatch.chdir(tmp_path)
    main(['demo', '--model-dir', 'mine', '--model-dir', '/more', '--port', '7', '--', '--share', '-x'])
    dirs = f'--model-dir {tmp_path / "mine"} --model-dir /more'
    assert calls.commands == [f'PYTHON -m {NAME} demo {dirs} --port 7 --share -x']


def test_ctrl_c_ends_the_demo_and_nothing_is_left_to_finish(main, calls, monkeypatch, capsys):
    def interrupted(*command, env=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_and_tests, 'make_environment', lambda extras: 'PYTHON')
    monkeypatch.setattr(commands, 'call', interrupted)
    assert main(['demo']) == 0
    assert 'Interrupted' not in capsys.readouterr().err


@pytest.mark.parametrize(
    ('fails', 'code', 'runs'), [(None, 0, 4), ('ruff format', 3, 2), ('mypy', 1, 3), ('pytest', 5, 4)]
)
def test_the_first_check_that_fails_is_the_exit_code(main, calls, monkeypatch, fails, code, runs):
    monkeypatch.setattr(demo_and_tests, 'make_environment', lambda extras: 'PYTHON')
    monkeypatch.setattr(demo_and_tests, '_get_chromium', lambda python: None)
    monkeypatch.setattr(demo_and_tests, '_cores', lambda: 1)
    calls.codes[fails or 'nothing'] = code
    assert main(['test', '--', '-k', 'x']) == code
    assert len(calls.commands) == runs
    assert 'ruff check' in calls.commands[0]
    assert fails in ('ruff format', 'mypy') or calls.commands[-1].endswith('pytest -ra -k x')


@pytest.mark.parametrize(('cores', 'workers'), [(1, None), (2, '2'), (64, '4')])
@pytest.mark.parametrize('with_webui', [False, True])
def test_the_tests_share_out_the_cores_unless_they_share_a_webui(
    main, calls, monkeypatch, v4, cores, workers, with_webui
):
    monkeypatch.setattr(demo_and_tests, 'make_environment', lambda extras: 'PYTHON')
    monkeypatch.setattr(demo_and_tests, '_get_chromium', lambda python: None)
    monkeypatch.setattr(demo_and_tests, '_cores', lambda: cores)
    assert main(['test', *(['--webui', str(v4.root)] if with_webui else []), '--', 'tests/ui']) == 0
    expected = '' if with_webui or workers is None else f' -n {workers} --dist loadfile --no-loadscope-reorder'
    assert calls.commands[-1].endswith(f'pytest -ra{expected} tests/ui')


def test_test_refuses_a_folder_that_is_no_webui(source, tmp_path):
    assert 'is not a text-generation-webui' in run(source, 'test', '--webui', tmp_path, code=1)


@pytest.mark.parametrize('name', ['chromium', 'chromium-browser', 'google-chrome', None])
def test_chromium_is_found_on_the_path_or_in_its_variable(monkeypatch, tmp_path, name):
    program = put(tmp_path / 'bin' / (name or 'my-browser'), '#!/bin/sh\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    monkeypatch.delenv('CHROMIUM', raising=False)
    if not name:
        monkeypatch.setenv('CHROMIUM', str(program))
    assert demo_and_tests.find_chromium() == str(program)
    monkeypatch.setenv('CHROMIUM', str(tmp_path / 'missing'))
    with pytest.raises(InstallError, match='correct or unset'):
        demo_and_tests.find_chromium()


def test_the_environment_of_the_caller_does_not_leak(monkeypatch):
    for name in ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_USER', '__PYVENV_LAUNCHER__'):
        monkeypatch.setenv(name, '1')
    monkeypatch.setenv('PIP_INDEX_URL', 'https://example.org')
    env = commands.clean_environ(CHROMIUM='c')
    assert not {'PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', '__PYVENV_LAUNCHER__'} & env.keys()
    assert (env['PIP_USER'], env['PIP_INDEX_URL'], env['CHROMIUM']) == ('0', 'https://example.org', 'c')
