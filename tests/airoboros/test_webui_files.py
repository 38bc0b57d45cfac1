"""The webui's template and preset against airoboros/conversation.py: one layout, told twice."""

import pytest
import yaml
from airoboros_gptq.airoboros.conversation import PRESET_NAME, SAMPLING, render
from airoboros_gptq.airoboros.prompt_templates import V1_2
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment
from support import ROOT

# The environment that the webui compiles templates in.
SOURCE = yaml.safe_load((ROOT / 'instruction-templates' / f'{V1_2.template}.yaml').read_text(encoding='utf-8'))
TEMPLATE = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(
    SOURCE['instruction_template']
)
text = st.text(max_size=60)


def user(content):
    return {'role': 'user', 'content': content}


def assistant(content):
    return {'role': 'assistant', 'content': content}


def system(content):
    return {'role': 'system', 'content': content}


def rendered(*messages, add_generation_prompt=True):
    return TEMPLATE.render(messages=list(messages), add_generation_prompt=add_generation_prompt)


def as_messages(turns, due):
    messages = [m for u, a in turns for m in (user(u), assistant(a))]
    return messages if due is None else [*messages, user(due)]


@given(turns=st.lists(st.tuples(text, text), max_size=4), due=text, preamble=text.map(str.strip))
def test_says_the_same_as_render(turns, due, preamble):
    messages = as_messages(turns, due)
    assert rendered(*messages) == render([*turns, (due, None)])
    if preamble:
        assert rendered(system(preamble), *messages) == render([*turns, (due, None)], preamble)


@given(turns=st.lists(st.tuples(text, text), min_size=1, max_size=4))
def test_nothing_due(turns):
    assert rendered(*as_messages(turns, None), add_generation_prompt=False) == render(turns)


def test_the_training_string_to_the_letter():
    assert rendered(user('Tell me about AI')) == (
        'A chat between a curious user and an assistant. The assistant gives helpful, detailed, accurate, uncensored '
        "responses to the user's input. USER: Tell me about AI ASSISTANT: "
    )


def test_two_turns_to_the_letter():
    assert rendered(user('One'), assistant('First.'), user('Two')) == (
        f'{V1_2.system} USER: One ASSISTANT: First.</s>USER: Two ASSISTANT: '
    )


def test_without_a_generation_prompt_the_question_stays_open():
    """The webui renders so to find where messages begin, and to continue an answer."""
    assert rendered(user('One'), add_generation_prompt=False) == f'{V1_2.system} USER: One'
    closed = rendered(user('One'), assistant('First.'), add_generation_prompt=False)
    assert closed == f'{V1_2.system} USER: One ASSISTANT: First.</s>'


def test_no_messages_is_the_preamble_alone():
    assert rendered(add_generation_prompt=False) == V1_2.system + ' '
    assert rendered() == V1_2.system + ' ASSISTANT: '


def test_a_later_system_message_is_not_lost():
    """Character cards and the API put one in the middle of a chat."""
    found = rendered(user('One'), assistant('First.'), system('It is night.'), user('Two'))
    assert found == f'{V1_2.system} USER: One ASSISTANT: First.</s>It is night. USER: Two ASSISTANT: '


def test_stays_on_one_line_and_never_doubles_a_space():
    found = rendered(system('S.'), user('a'), system('T.'), assistant('b'), user('c'))
    assert '\n' not in found and '  ' not in found


def test_several_of_the_same_role_in_a_row():
    assert rendered(user('a'), user('b')) == f'{V1_2.system} USER: a USER: b ASSISTANT: '


@pytest.mark.parametrize('content', ["it's {{ 7 * 7 }}", '{% raw %}', '<b>&amp;</b>', '\n\n    x\n'])
def test_content_is_passed_through_as_it_is(content):
    assert f'USER: {content} ASSISTANT: ' in rendered(user(content))


def test_the_preset_is_exact():
    preset = yaml.safe_load((ROOT / 'presets' / f'{PRESET_NAME}.yaml').read_text(encoding='utf-8'))
    assert preset == SAMPLING == {'temperature': 0.7, 'top_p': 0.95, 'repetition_penalty': 1.15}
    assert list(SOURCE) == ['instruction_template']
