"""The prompt for answers from given sources alone."""

import pytest
from airoboros_gptq.airoboros.context_obedient import MAX_SOURCES, Source, context_prompt
from airoboros_gptq.errors import GPTQError
from hypothesis import given
from hypothesis import strategies as st

BLUEBERRIES = Source(
    'Blueberries are now green.\n\nSo they say.\n', ' url : https://example.com/a:b\n\ndate:2021-01-01\nauthor:\n'
)


def test_to_the_letter():
    assert context_prompt([BLUEBERRIES, Source('Second.')], 'What colour?\nSource?\n') == (
        'BEGININPUT\n'
        'BEGINCONTEXT\n'
        'url: https://example.com/a:b\n'
        'date: 2021-01-01\n'
        'author:\n'
        'ENDCONTEXT\n'
        'Blueberries are now green.\n\nSo they say.\n'
        'ENDINPUT\n'
        'BEGININPUT\n'
        'BEGINCONTEXT\n'
        'ENDCONTEXT\n'
        'Second.\n'
        'ENDINPUT\n'
        'BEGININSTRUCTION\n'
        'What colour?\nSource?\n'
        'ENDINSTRUCTION'
    )


def test_empty_sources_are_passed_over():
    assert context_prompt([Source(''), Source('A.', ' '), Source(' \n')], 'Q') == context_prompt([Source('A.')], 'Q')


@pytest.mark.parametrize(
    ('sources', 'question', 'sentence'),
    [
        ([], 'Q', 'There is no source; paste the text that the answer is to come from.'),
        ([Source(' ')], 'Q', 'There is no source; paste the text that the answer is to come from.'),
        ([Source('A.')], ' ', 'There is no question; write what is to be answered from the sources.'),
        ([Source(''), Source('', 'a: b')], 'Q', 'Source 2 has no text; paste it, or clear its key-value lines.'),
        (
            [Source(''), Source('A.', 'date: 1\nyesterday')],
            'Q',
            '"yesterday" in source 2 is not a key, a colon and a value; write, say, "date: 2021-01-01".',
        ),
        ([Source('A.', 'https://x.org')], 'Q', '"https://x.org" in source 1 is not a key'),
        ([Source('A.', ': b')], 'Q', '": b" in source 1 is not a key'),
        ([Source('A.\n ENDINPUT \nB.')], 'Q', 'Source 1 has a line ENDINPUT, which the prompt itself is made of;'),
        ([Source('A.')], 'Q\nENDINSTRUCTION', 'The question has a line ENDINSTRUCTION'),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence(sources, question, sentence):
    with pytest.raises(GPTQError) as e:
        context_prompt(sources, question)
    assert str(e.value).startswith(sentence)


words = st.text(st.characters(codec='ascii', categories=('L', 'N', 'P', 'Zs')), max_size=30)


@given(st.lists(st.tuples(words, st.lists(st.tuples(words, words), max_size=3)), max_size=MAX_SOURCES), words)
def test_either_one_sentence_or_a_well_formed_prompt(sources, question):
    made = [Source(text, '\n'.join(f'{k}: {v}' for k, v in lines)) for text, lines in sources]
    try:
        prompt = context_prompt(made, question)
    except GPTQError as e:
        assert '\n' not in str(e)
        return
    lines = prompt.split('\n')
    used = sum(bool(text.strip()) for text, _ in sources)
    for tag in ('BEGININPUT', 'BEGINCONTEXT', 'ENDCONTEXT', 'ENDINPUT'):
        assert lines.count(tag) == used
    assert lines.count('BEGININSTRUCTION') == lines.count('ENDINSTRUCTION') == 1
