"""Text from strangers: nothing in it moves a cursor, forges a line, hides, or stops a connection."""

import json
import logging

import pytest
from airoboros_gptq.clean_text import clean_json, clean_text
from airoboros_gptq.errors import GPTQError, first_line

UNFIT = {
    'ESC': '\x1b[2J',
    'line feed': '\n',
    'carriage return': '\r',
    'line separator': '\u2028',
    'C1 control': '\x9b',
    'half a surrogate pair': '\ud800',
    'a byte that is not UTF-8': '\udcff',
    'right-to-left override': '\u202e',
    'isolate': '\u2066',
    'zero-width space': '\u200b',
    'byte order mark': '\ufeff',
    'tag': '\U000e0041',
}


@pytest.mark.parametrize('name', UNFIT)
def test_it_becomes_a_space(name, caplog):
    text = f'a{UNFIT[name]}b'
    clean = clean_text(text)
    assert clean.isprintable() and len(clean) == len(text) and clean[0] == 'a' and clean[-1] == 'b'
    assert clean.encode('utf-8')
    assert str(GPTQError(text)) == clean
    assert first_line(ValueError(f'x{text}'.replace('\n', '')))
    assert clean_json({text: [text, 1, None, (text,)]}) == {clean: [clean, 1, None, [clean]]}
    with caplog.at_level(logging.INFO, 'airoboros_gptq'):
        logging.getLogger('airoboros_gptq').warning('config says %s', text)
    assert caplog.messages == [f'config says {clean}']


@pytest.mark.parametrize('text', ['', 'plain', 'модели 模型 😀', 'שלום', '\u3000', 'é' * 100])
def test_what_people_write_stays(text):
    assert clean_text(text) == text


def test_long_text_keeps_its_ends():
    text = clean_text('a' + 'x' * 10**7 + 'z')
    assert len(text) == 2000 and text[0] == 'a' and text[-1] == 'z' and ' … ' in text


def test_a_long_error_is_one_bounded_line():
    assert len(first_line(ValueError('x' * 10**7))) == 1000
    assert first_line(ValueError('\n a\u2028b\n')) == 'a'
    assert first_line(ValueError()) == 'ValueError'
    assert json.dumps(clean_json({'a': 1.5})) == '{"a": 1.5}'
