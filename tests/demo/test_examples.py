"""The example questions and the sampling to begin with."""

import pytest
from airoboros_gptq.airoboros.versions import detect_version
from airoboros_gptq.demo.chat import answer
from airoboros_gptq.demo.examples import GREEDY, MAX_EXAMPLES, TINY, examples_for, parse_label, sampling_for
from airoboros_gptq.generation.streaming import Sampling
from airoboros_gptq.session import ModelSession
from support import PLAIN, edit_json
from support import TINY as TINY_FOLDER

# What the tiny model must say to each of its examples.
RIGHT = {
    'What is the capital of France?': 'Paris',
    'What is 12 plus 7?': '19',
    'Implement the Snake game in python.': 'class Snake:',
    'Write a Python function that adds two numbers.': 'def add(a, b):\n    return a + b',
    'My name is Anna and I live in Paris.': 'Nice to meet you, Anna.',
    'What can you do?': 'I can tell capitals, do sums, write small functions',
}


@pytest.fixture(scope='module')
def session():
    session = ModelSession()
    session.load(TINY_FOLDER, PLAIN, kernel='reference', device='cpu', dtype='float32')
    return session


@pytest.mark.parametrize('example', TINY, ids=lambda e: e.label)
def test_the_tiny_model_answers_its_examples(session, example):
    greedy = Sampling(max_new_tokens=120, **sampling_for(TINY_FOLDER, session.airoboros))
    assert greedy.temperature == 0
    *_, messages = answer(session, [{'role': 'user', 'content': example.question}], example.plainformat, greedy)
    said = messages[-1]['content']
    assert RIGHT[example.question] in said
    assert example.plainformat == ('class Snake' in said and '```' not in said)


@pytest.mark.parametrize(
    'name, plainformat',
    [
        ('airoboros-tiny-gpt4-1.2-GPTQ', True),
        ('TheBloke_airoboros-7B-gpt4-1.2-GPTQ', True),
        ('airoboros-7b-gpt4-GPTQ', False),  # 1.0 was not trained with it
        ('SmolLM2-135M-Instruct-GPTQ', False),
    ],
)
def test_each_model_has_four_to_six(tmp_path, name, plainformat):
    examples = examples_for(tmp_path / name, detect_version(tmp_path / name, ''))
    assert 4 <= len(examples) <= MAX_EXAMPLES
    assert any(e.plainformat for e in examples) == plainformat
    for example in examples:
        assert parse_label(example.label) == (example.question, example.plainformat)


def test_sampling_is_the_card_s_for_airoboros_and_the_folder_s_for_others(tmp_path):
    airoboros = tmp_path / 'airoboros-7B-gpt4-1.2-GPTQ'
    assert sampling_for(airoboros, detect_version(airoboros, ''))['temperature'] == 0.7
    other = tmp_path / 'other'
    other.mkdir()
    assert sampling_for(other, None)['temperature'] == 0.7  # a folder that says nothing
    (other / 'generation_config.json').write_text('{}')
    edit_json(other / 'generation_config.json', temperature=0.2, top_p=0.9)
    assert sampling_for(other, None) == {'temperature': 0.2, 'top_p': 0.9, 'repetition_penalty': 1.0}
    edit_json(other / 'generation_config.json', temperature='<b>', top_p=7, repetition_penalty=True)
    assert sampling_for(other, None)['temperature'] == 0.7
    edit_json(other / 'generation_config.json', do_sample=False, temperature=0.6)
    assert sampling_for(other, None) == GREEDY
    assert sampling_for(TINY_FOLDER, detect_version(TINY_FOLDER, '')) == GREEDY
