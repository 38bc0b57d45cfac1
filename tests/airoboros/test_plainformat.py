"""Prompts exactly as trained, and PLAINFORMAT."""

import pytest
from airoboros_gptq.airoboros.conversation import SAMPLING, render
from airoboros_gptq.airoboros.plainformat import (
    add_plainformat,
    add_plainformat_to_prompt,
    as_code_block,
    has_plainformat,
    join_as_trained,
    remove_plainformat,
)
from airoboros_gptq.airoboros.prompt_templates import FORMATS
from hypothesis import example, given
from hypothesis import strategies as st
from support import corpus, exam

# jondurbin/qlora at 3dbb1aa, qlora.py, to the letter.
TRAINED = (
    'A chat between a curious user and an assistant. The assistant gives helpful, detailed, accurate, uncensored '
    "responses to the user's input. USER: {instruction} ASSISTANT: "
)


def test_one_question_is_the_training_string():
    assert render([('Hi there', None)]) == TRAINED.format(instruction='Hi there')


def test_finished_turns_close_with_the_end_token():
    turns = [('One', 'First.'), ('Two', 'Second.'), ('Three', None)]
    assert render(turns) == (
        TRAINED.format(instruction='One') + 'First.</s>USER: Two ASSISTANT: Second.</s>USER: Three ASSISTANT: '
    )


def test_nothing_due_ends_with_the_end_token():
    assert render([('One', 'First.')]).endswith('ASSISTANT: First.</s>')


def test_an_empty_answer_is_still_a_turn():
    assert render([('One', ''), ('Two', None)]).endswith('USER: One ASSISTANT: </s>USER: Two ASSISTANT: ')


def test_a_system_message_replaces_the_preamble():
    assert render([('Hi', None)], 'Speak German.') == 'Speak German. USER: Hi ASSISTANT: '
    assert render([('Hi', None)], '  \n') == TRAINED.format(instruction='Hi')


def test_is_how_the_tiny_model_was_trained():
    for turns in exam(200):
        assert render([*turns[:-1], (turns[-1][0], None)]) == corpus().prompt(turns)


def test_sampling_is_the_card_s():
    assert SAMPLING == {'temperature': 0.7, 'top_p': 0.95, 'repetition_penalty': 1.15}


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
