"""The options of `bench`, and what it says while it runs."""

import json
import os
import re
import subprocess
import sys

import pytest
from reports import bench
from support import EXTENSIONS, TINY, run_cli


def test_a_quick_look_at_random_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path))
    options = ('--synthetic', 'tiny', '--act-order', '--quick', '--device', 'cpu', '--kernel', 'reference')
    code, out, err = bench(capsys, *options)
    assert code == 0
    made = re.findall(r'(?m)^bench: making tiny, (.*) of (.*)$', err)
    assert 2 <= len(made) <= 11 and made[-1][0] == made[-1][1]
    for line in (
        'machine',
        'load',
        'from disk',
        'peak memory',
        'prefill of 64',
        'decode at 16',
        'second turn',
        'generate()',
    ):
        assert f'\n{line}' in f'\n{out}'
    assert 'act-order' in out and 'reference on cpu' in out
    code, out, _ = bench(capsys, *options, '--json')
    assert json.loads(out)['model']['desc_act'] is True


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ((), 'Name one model to measure'),
        ((TINY, '--synthetic', 'tiny'), 'Name one model to measure'),
        ((TINY, '--real-model'), 'Name one model to measure'),
        (('--real-model',), '`python -m airoboros_gptq real-model` gets it'),
        ((TINY, '--plot', 'x.png'), 'ends in .svg'),
        ((TINY, '--processor-time', '--device', 'cuda:0'), '--processor-time is for CPUs'),
        ((TINY / 'none',), 'none'),
        (('--synthetic', 'tiny', '--group-size', '96'), 'Groups of 96 do not divide 256 and 512'),
        ((TINY, '--against', 'llama.cpp', '--against-python', '/no/python'), '/no/python cannot be run'),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(capsys, arguments, sentence, empty_cache):
    code, out, err = bench(capsys, *arguments)
    *before, said = err.splitlines()
    assert (code, out) == (1, '') and sentence in said and before in ([], ['bench: importing libraries'])


def test_a_pipe_is_told_each_step():
    """In a terminal a bar says it; a log needs lines, from the first second."""
    code, out, err = run_cli('bench', TINY, '--device', 'cpu', '--quick', '--processor-time')
    lines = [line for line in err.splitlines() if line.startswith('bench: ')]
    assert code == 0 and lines[0] == 'bench: importing libraries'
    steps = [line.split()[1] for line in lines[1:]]
    assert steps == [f'{n}/{len(steps)}' for n in range(1, len(steps) + 1)]
    assert ', 1 thread,' in out and not re.search(r'(?<![\d.])(?:0\.00 [GM]B|1 (?:tokens|threads|groups))\b', out)
    assert any(line.endswith('prefill of 64 tokens') for line in lines)


def test_a_pipe_is_told_at_once(tmp_path):
    """The first line needs neither torch nor numpy."""
    slow = tmp_path / 'numpy.py'  # as on a cold disk
    slow.write_text('import time\ntime.sleep(600)\n')
    environ = {**os.environ, 'PYTHONPATH': f'{EXTENSIONS}{os.pathsep}{tmp_path}', 'AIROBOROS_GPTQ_CACHE': str(tmp_path)}
    command = [sys.executable, '-m', 'airoboros_gptq', 'bench', '--synthetic', 'tiny', '--device', 'cpu']
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline() == 'bench: importing libraries\n'
        process.kill()
