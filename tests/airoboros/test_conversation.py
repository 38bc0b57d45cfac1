"""Prompts exactly as trained."""

from airoboros_gptq.airoboros.conversation import SAMPLING, render
from support import PLAIN, copy_tiny, corpus, edit_json, exam, run_cli

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


def test_a_model_without_a_template_of_its_own_is_not_asked_in_airoboros_s_words_without_a_word(tmp_path):
    sentence = 'This model is no Airoboros and has no chat template'
    for name, template, said in (
        ('llama', None, True),
        ('llama-chat', '{{ messages }}', False),
        ('airoboros', None, False),
    ):
        folder = copy_tiny(tmp_path / name, PLAIN)
        for path in [*folder.glob('README*'), *folder.glob('*.jinja')]:
            path.unlink()
        edit_json(folder / 'config.json', _name_or_path=name)
        edit_json(folder / 'tokenizer_config.json', chat_template=template)
        arguments = ('--model-path', folder, '--kernel', 'reference', '--device', 'cpu', '--max-new-tokens', '2')
        code, _, err = run_cli('chat', *arguments, stdin='Hi\n\n')
        assert code == 0 and (sentence in err) == said, err
