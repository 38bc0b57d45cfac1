"""The command line."""

import io
import json
import re
import sys

import pytest
from airoboros_gptq import cli
from support import ACT_ORDER, PLAIN, TINY, corpus, edit_json, run_cli

GREEDY = ('--temperature', '0', '--repetition-penalty', '1')
WORDS = {'name': 'get_total', 'operation': 'sum', 'sign': '+', 'a': 'a', 'b': 'b'}
QUESTION = 'Write a function get_total in python that returns the sum of a and b.'
PYTHON = corpus().CODE['python'].format(**WORDS)
FENCED = f'```python\n{PYTHON}\n```\nThe function get_total returns the sum of a and b.'


@pytest.fixture
def chat(load_tiny, monkeypatch, capsys):
    """chat(stdin, *options): the output of `chat` in this process, with a model that is loaded once."""
    asked, given = [], []

    def load(summary, **settings):
        given.append(summary)
        return load_tiny(summary.checkpoint.name, 'torch-int4')

    def conversation_prompt(tokenizer, turns, system, airoboros):
        asked.append((list(turns), system))
        return real_prompt(tokenizer, turns, system, airoboros)

    from airoboros_gptq.airoboros import conversation
    from airoboros_gptq.model import load as model_load

    real_prompt = conversation.conversation_prompt
    monkeypatch.setattr(model_load, 'load', load)
    monkeypatch.setattr(conversation, 'conversation_prompt', conversation_prompt)

    def run(stdin, *options):
        monkeypatch.setattr(sys, 'stdin', io.StringIO(stdin))
        asked.clear()
        code = cli.main(['chat', '--model-path', str(TINY), *options])
        assert code == 0
        return capsys.readouterr().out

    run.asked, run.given = asked, given
    return run


def test_chat_in_its_own_process():
    code, out, err = run_cli(
        *('chat', '--model-path', TINY, '--checkpoint', ACT_ORDER, '--device', 'cpu', '--plainformat', *GREEDY),
        stdin=f'{QUESTION}\n',
    )
    assert (code, out) == (0, PYTHON + '\n'), err
    assert 'Traceback' not in err


def test_a_kernel_of_an_earlier_version_means_auto():
    code, _, err = run_cli(
        *('chat', '--model-path', TINY, '--checkpoint', PLAIN, '--device', 'cpu', '--kernel', 'auto-gptq', *GREEDY),
        *('--max-new-tokens', '2'),
        stdin='Hi\n',
    )
    assert code == 0 and err.count('The kernel auto-gptq was removed; auto is used instead.') == 1
    code, _, err = run_cli('bench', '--kernel', 'auto-gptq')
    assert code == 1 and 'auto is used instead' in err and 'Name one model to measure' in err


def test_plainformat_is_bare_code_with_its_indentation(chat):
    assert chat(QUESTION + '\n', '--plainformat', *GREEDY) == PYTHON + '\n'
    assert '\n    _out_' in PYTHON
    assert chat.asked[0][0] == [(f'{QUESTION}  PLAINFORMAT', None)]
    assert chat(QUESTION + '\n', *GREEDY) == FENCED + '\n'


def test_an_empty_line_ends_a_message_of_several_lines(chat):
    chat('\n\nFirst line\n  second line\n\n\nThird\n', '--max-new-tokens', '2', *GREEDY)
    assert [turns[-1][0] for turns, _ in chat.asked] == ['First line\n  second line', 'Third']


def test_history_is_kept(chat):
    out = chat('What is 3 plus 4?\n\nAdd 2 to that.\n', *GREEDY)
    assert out == '3 plus 4 is 7.\n7 plus 2 is 9.\n'
    first = ('What is 3 plus 4?', '3 plus 4 is 7.')
    assert chat.asked[1][0] == [first, ('Add 2 to that.', None)]


def test_no_history_forgets(chat):
    out = chat('What is 3 plus 4?\n\nAdd 2 to that.\n', '--no-history', *GREEDY)
    assert chat.asked[1][0] == [('Add 2 to that.', None)]
    assert '7 plus 2 is 9.' not in out


def test_system(chat):
    chat('Hi\n', '--system', 'Speak German.', '--max-new-tokens', '2', *GREEDY)
    assert chat.asked[0][1] == 'Speak German.'


def test_a_seed_makes_answers_reproducible(chat):
    hot = ('--temperature', '3', '--top-p', '1', '--max-new-tokens', '25')
    answers = [chat('Hi\n', *hot, '--seed', seed) for seed in ('1', '1', '2')]
    assert answers[0] == answers[1] != answers[2]


def test_the_format_reaches_load(chat):
    chat('', '--checkpoint-format', 'gptq_v2')
    chat('')
    assert [summary.quantization.checkpoint_format for summary in chat.given] == ['gptq_v2', 'gptq']


def test_no_message_is_no_answer(chat):
    assert chat('') == '' and chat('\n\n') == ''


def test_inspect():
    code, out, err = run_cli('inspect', TINY)
    assert (code, err) == (0, '')
    rows = {line[:14].strip(): line[14:].strip() for line in out.splitlines()}
    assert rows['bits'].split()[:4] == ['4', 'the', 'shapes', 'of']
    assert rows['checkpoint'].startswith(PLAIN)
    assert rows['size'].startswith('3.62 MB')
    code, out, _ = run_cli('inspect', TINY, '--checkpoint', ACT_ORDER)
    assert 'named by the user' in out and 'quantize_config.json says desc_act is False; the tensors have True' in out
    code, out, _ = run_cli('inspect', TINY, '--checkpoint-format', 'gptq_v2')
    assert re.search(r'^format +gptq_v2 +named by the user$', out, re.M)


def inspect(capsys, *arguments):
    code = cli.main(['inspect', *map(str, arguments)])
    return code, *capsys.readouterr()


def test_inspect_estimates_memory(capsys, no_native):
    code, out, _ = inspect(capsys, TINY, '--device', 'cpu', '--context', 4096)
    assert code == 0
    rows = {line.split('  ')[0]: ' '.join(line.split()) for line in out.splitlines()}
    assert rows['weights'] == 'weights 3.61 MB estimated for torch-int4 on cpu'
    assert rows['cache at 4096'] == 'cache at 4096 20.97 MB config.json, in bfloat16'
    assert rows['total'].startswith('total 24.58 MB') and rows['fits'].startswith('fits yes')


def test_inspect_prints_json(capsys):
    code, out, err = inspect(capsys, TINY, '--json', '--device', 'cpu', '--context', 1)
    summary = json.loads(out)
    assert (code, err, summary['bits'], summary['memory']['context']) == (0, '', [4], 1)
    assert {'name': 'bits', 'value': '4'}.items() <= summary['facts'][1].items()


@pytest.mark.parametrize('missing', ['config.json', 'tokenizer.json', 'weights', 'folder'])
def test_inspect_of_a_folder_that_cannot_be_loaded(tiny_copy, capsys, missing):
    if missing == 'folder':
        tiny_copy = tiny_copy / 'none'
    else:
        (tiny_copy / 'tokenizer.model').unlink(missing_ok=True)
        (tiny_copy / (PLAIN if missing == 'weights' else missing)).unlink()
    code, out, err = inspect(capsys, tiny_copy)
    assert code == 1 and err.count('\n') == 1 and 'Traceback' not in err
    assert ('cache at 2048' in out) == (missing in ('config.json', 'tokenizer.json'))  # the weights could be read
    code, out, json_err = inspect(capsys, tiny_copy, '--json')
    assert (code, json.loads(out), json_err) == (1, {'error': err.strip()}, '')


@pytest.mark.parametrize(
    ('config', 'says'),
    [
        (
            {'model_type': 'llama-of-tomorrow'},
            'has no language model of the type llama-of-tomorrow; a transformers newer than',
        ),
        ({'model_type': 'foo', 'auto_map': {'AutoConfig': 'code.Foo'}}, 'load with trust_remote_code=True'),
    ],
)
def test_inspect_of_a_type_that_transformers_lacks(tiny_copy, capsys, config, says):
    edit_json(tiny_copy / 'config.json', **config)
    code, _, err = inspect(capsys, tiny_copy)
    assert code == 1 and err.count('\n') == 1 and says in err


@pytest.mark.parametrize(
    'arguments',
    [
        (),
        ('chat',),
        ('sing',),
        ('chat', '--model-path', 'x', '--seed', 'one'),
        ('inspect', 'x', '--checkpoint-format', 'v3'),
        ('inspect', 'x', '--context', '0'),
        ('inspect', 'x', '--context', 'long'),
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as e:
        cli.main(list(arguments))
    assert e.value.code == 2
    assert 'usage: airoboros_gptq' in capsys.readouterr().err


def test_help_names_the_defaults(capsys):
    with pytest.raises(SystemExit):
        cli.main(['chat', '--help'])
    out = capsys.readouterr().out
    for default in ('0.7', '0.95', '1.15', '512', 'torch-int4'):
        assert default in out
    assert 'gptq stores zero-1, gptq_v2 stores zero (default: detect)' in ' '.join(out.split())
