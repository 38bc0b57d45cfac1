"""Prompts exactly as trained."""

from airoboros_gptq.airoboros.conversation import SAMPLING, render
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
