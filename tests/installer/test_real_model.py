"""The real model that `install.py demo` offers: when it asks, when it never does, and what the demo is started with."""

import sys

import pytest
from airoboros_gptq.real_model import source as real_model_source
from install_helpers import NAME, put

from installer import demo_and_tests, own_environment, real_model

FOLDER = 'SmolLM2-135M-Instruct-GPTQ'


class Terminal:
    """A stdin of answers, and a stdout of a person who reads it."""

    def __init__(self, answers, at_terminal=True):
        self.answers, self.at_terminal = list(answers), at_terminal

    def isatty(self):
        return self.at_terminal

    def readline(self):
        return self.answers.pop(0)


@pytest.fixture
def demo(main, calls, monkeypatch, tmp_path):
    """demo(*arguments, answers=(), terminal=False): runs `install.py demo`, whose `real-model` makes the folder; the commands
    that were called.
    """
    made = []
    monkeypatch.setattr(demo_and_tests, 'make_environment', lambda extras: 'PYTHON')
    monkeypatch.setattr(own_environment, 'make_environment', lambda extras: made.append(extras) or 'PYTHON')
    own_environment.VENV.mkdir(parents=True)
    models = tmp_path / 'cache' / 'models'

    def run(*arguments, answers=(), terminal=False, fails=False):
        made.clear(), calls.commands.clear()
        stdin = Terminal(answers, terminal)
        calls.codes['real-model'] = int(fails)
        with monkeypatch.context() as patch:
            patch.setattr(sys, 'stdin', stdin)
            patch.setattr(sys.stdout, 'isatty', lambda: terminal, raising=False)
            code = main(['demo', *arguments])
        assert not stdin.answers, 'it did not ask'
        assert made == [['demo', 'real-model']] * any('real-model' in c for c in calls.commands)
        return code, [c.removeprefix(f'PYTHON -m {NAME} ') for c in calls.commands]

    run.models = models
    return run


def with_model(demo):
    put(demo.models / FOLDER / 'config.json', '{}')


def test_it_never_asks_in_a_pipe(demo, source):
    assert demo() == (0, [f'demo --model-dir {source}/tests/models'])


@pytest.mark.parametrize('arguments', [['--model-dir', '/mine'], ['--', '--model', 'x']], ids=' '.join)
def test_nobody_is_asked_who_names_a_model(demo, arguments):
    code, commands = demo(*arguments, terminal=True)
    assert (code, len(commands)) == (0, 1)


@pytest.mark.parametrize('yes', ['y\n', 'Yes\n'])
def test_a_yes_gets_it_and_it_is_loaded_now_and_later(demo, source, yes, capsys):
    started = f'demo --model-dir {source}/tests/models --model-dir {demo.models} --model {FOLDER}'
    assert demo(terminal=True, answers=[yes]) == (0, ['real-model', started])
    asked = capsys.readouterr().out
    assert '93 MB' in asked and 'Apache 2.0' in asked and str(demo.models / FOLDER) in asked
    with_model(demo)
    assert demo(terminal=True) == (0, [started])
    _, (command,) = demo('--', '--model', 'airoboros-tiny-gpt4-1.2-GPTQ')
    assert f'--model-dir {demo.models}' in command and FOLDER not in command
    _, (command,) = demo('--model-dir', '/mine')
    assert command == f'demo --model-dir /mine --model-dir {demo.models}'  # in the list; the person's own go first


@pytest.mark.parametrize('no', ['\n', 'n\n', 'what?\n', ''])
def test_a_no_is_remembered(demo, source, no, capsys):
    started = (0, [f'demo --model-dir {source}/tests/models'])
    assert demo(terminal=True, answers=[no]) == started
    assert '--real-model` gets it' in capsys.readouterr().out
    assert demo(terminal=True) == started
    assert demo('--real-model')[1][0] == 'real-model'


def test_the_option_gets_it_without_a_question_and_says_where_it_failed(demo, source):
    dirs = f'--model-dir /mine --model-dir {demo.models}'
    assert demo('--real-model', '--model-dir', '/mine') == (0, ['real-model', f'demo {dirs} --model {FOLDER}'])
    code, commands = demo('--real-model', fails=True)
    assert 'could not be got, see above' in code and commands == ['real-model']
    # Who was only asked has the demo all the same.
    code, commands = demo(terminal=True, answers=['y\n'], fails=True)
    assert (code, commands) == (0, ['real-model', f'demo --model-dir {source}/tests/models'])


def test_the_package_keeps_it_where_the_installer_looks(monkeypatch, tmp_path):
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path))
    assert real_model.model_folder() == real_model_source.model_folder()
