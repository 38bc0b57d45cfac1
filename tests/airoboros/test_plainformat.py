"""PLAINFORMAT: where it goes in a message and in a prompt."""

import time

import pytest
from airoboros_gptq.airoboros.conversation import render
from airoboros_gptq.airoboros.plainformat import (
    add_plainformat,
    add_plainformat_to_prompt,
    as_code_block,
    has_plainformat,
    join_as_trained,
    plainformat_last,
    remove_plainformat,
)
from airoboros_gptq.airoboros.prompt_templates import FORMATS
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ('message', 'sent'),
    [
        ('Implement the Snake game in python.', 'Implement the Snake game in python.  PLAINFORMAT'),
        ('Trailing space \n', 'Trailing space  PLAINFORMAT'),
        ('Write this:\n1. a\n2. b', 'Write this:\n1. a\n2. b  PLAINFORMAT'),
        ('Already there. PLAINFORMAT', 'Already there. PLAINFORMAT'),
        ('Already there.  PLAINFORMAT\n', 'Already there.  PLAINFORMAT\n'),
        ('What does PLAINFORMAT mean?', 'What does PLAINFORMAT mean?  PLAINFORMAT'),
        ('Lower plainformat', 'Lower plainformat  PLAINFORMAT'),
        ('NOTPLAINFORMAT', 'NOTPLAINFORMAT  PLAINFORMAT'),
        ('', ''),
        (' \n', ' \n'),
    ],
)
def test_add_plainformat(message, sent):
    assert add_plainformat(message) == sent


@given(st.text())
@example('PLAINFORMAT')
@example('a PLAINFORMAT PLAINFORMAT')
def test_plainformat_is_added_once_at_the_very_end(message):
    once = add_plainformat(message)
    assert add_plainformat(once) == once
    assert once.startswith(message.rstrip())
    assert has_plainformat(once) == bool(message.strip())
    if message.strip() and not has_plainformat(message):
        assert once == message.rstrip() + '  PLAINFORMAT'
        assert remove_plainformat(once) == message.rstrip()


@pytest.mark.parametrize(('spaces', 'sent'), [(1, 'Snake. PLAINFORMAT'), (2, 'Snake.  PLAINFORMAT')])
def test_plainformat_with_the_spaces_that_a_version_learned(spaces, sent):
    assert add_plainformat('Snake.\n', spaces) == sent
    assert has_plainformat(sent) and remove_plainformat(sent) == 'Snake.'
    assert add_plainformat(sent, 3 - spaces) == sent


def test_a_version_that_never_learned_it_gets_the_usual_spaces():
    assert add_plainformat('Snake.', None) == 'Snake.  PLAINFORMAT'


def test_remove_leaves_what_is_not_at_the_end():
    assert remove_plainformat('What does PLAINFORMAT mean?') == 'What does PLAINFORMAT mean?'
    assert remove_plainformat('a\nb  PLAINFORMAT \n') == 'a\nb'


@pytest.mark.parametrize(
    ('answer', 'shown'),
    [
        ('def f():\n    return 1\n', '```\ndef f():\n    return 1\n```'),
        ('    indented', '```\n    indented\n```'),
        ('```python\nx\n```', '```python\nx\n```'),
        ('', ''),
        (' \n', ' \n'),
    ],
)
def test_as_code_block(answer, shown):
    assert as_code_block(answer) == shown
    assert as_code_block(shown) == shown


@pytest.mark.parametrize(
    ('prompt', 'sent'),
    [
        ('A chat. USER: Sum. ASSISTANT: ', 'A chat. USER: Sum.  PLAINFORMAT ASSISTANT: '),
        ('A chat.\nUSER: Sum.\nASSISTANT:', 'A chat.\nUSER: Sum.  PLAINFORMAT\nASSISTANT:'),
        (
            'USER: One ASSISTANT: 1</s>USER: Two ASSISTANT: ',
            'USER: One ASSISTANT: 1</s>USER: Two  PLAINFORMAT ASSISTANT: ',
        ),
        ('USER: Sum. ASSISTANT: def sum(', 'USER: Sum.  PLAINFORMAT ASSISTANT: def sum('),
        ('[INST] Sum. [/INST]', '[INST] Sum.  PLAINFORMAT [/INST]'),
        ('USER: Sum. PLAINFORMAT ASSISTANT: ', 'USER: Sum. PLAINFORMAT ASSISTANT: '),
        ('USER: ASSISTANT: ', 'USER: ASSISTANT: '),
        ('Once upon a time', 'Once upon a time'),
        ('', ''),
    ],
)
def test_plainformat_in_a_whole_prompt_stands_before_the_last_cue(prompt, sent):
    assert add_plainformat_to_prompt(prompt) == sent


@pytest.mark.parametrize('format', FORMATS, ids=lambda f: f.template)
def test_an_answer_that_is_continued_is_the_beginning_of_a_finished_one(format):
    prompt, answer = render([('Hi', None)], format=format), 'Hello there'
    joined = join_as_trained(prompt + answer, answer, format)
    assert render([('Hi', 'Hello there')], format=format).startswith(joined)
    assert join_as_trained(prompt, '', format) == prompt
    assert join_as_trained('something else' + answer, answer, format) == 'something else' + answer


@pytest.mark.parametrize(
    'text', [' ', '\n', '\t \n', 'PLAINFORMAT ', ' ASSISTANT:', 'PLAINFORMAT\n\nATTACHMENTS:\n'], ids=repr
)
def test_a_message_of_a_megabyte_takes_linear_time(text):
    """Whitespace of 40 KB once took 46 s, with the interpreter's lock held."""
    message = (text * (1_000_000 // len(text) + 1))[:1_000_000]
    start = time.process_time()
    for made in (message, message + 'x', 'x' + message):
        has_plainformat(made)
        add_plainformat(made)
        remove_plainformat(made)
        add_plainformat_to_prompt(made)
        plainformat_last(made, ['\n=====\nabc\n=====\n'])
        as_code_block(made)
    assert time.process_time() - start < 2


def test_a_megabyte_of_attachments_takes_linear_time():
    attachment = '\n=====\nabc\n=====\n'
    message = f'Sum. PLAINFORMAT\n\nATTACHMENTS:\n{attachment}\n'
    count = 1_000_000 // len(message)
    start = time.process_time()
    prompt = plainformat_last(message * count, [attachment, '\n=====\nof another prompt\n=====\n'])
    assert time.process_time() - start < 1
    assert prompt.count('=====  PLAINFORMAT') == count
