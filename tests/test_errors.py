"""GPTQError: one sentence on one line, whatever it quotes."""

import pytest
from airoboros_gptq.errors import GPTQError, first_line, quote_error


@pytest.mark.parametrize('character', ['\n', '\r', '\t', '\0', '\x1b', '\u2028', '\u2029', '\ud800', '\x85'])
def test_what_no_terminal_can_print_becomes_a_space(character):
    assert str(GPTQError(f'a{character}b')) == 'a b'


def test_other_characters_stay():
    assert str(GPTQError('модели/模型 😀 "x" \u3000')) == 'модели/模型 😀 "x" \u3000'


def test_a_long_one_keeps_the_fault_and_the_remedy():
    text = str(GPTQError('The fault. ' + 5000 * 'x' + ' The remedy.'))
    assert len(text) <= 2000
    assert text.startswith('The fault. xxx') and ' … x' in text and text.endswith('xxx The remedy.')


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('one\ntwo'), 'one'),
        (ValueError('  one  '), 'one'),
        (ValueError(), 'ValueError'),
        (OSError('\n'), 'OSError'),
    ],
)
def test_first_line(error, line):
    assert first_line(error) == line


def test_the_line_that_says_what_to_do_is_quoted():
    said = ValueError(
        'The repository holds code.\nYou can look at it.\nPlease pass `trust_remote_code=True` to run it.'
    )
    assert quote_error(said) == 'The repository holds code. Please pass `trust_remote_code=True` to run it'
    assert quote_error(ValueError()) == 'ValueError'
    assert len(quote_error(ValueError('use this ' * 100 + '\nset that ' * 100))) <= 310
