"""More uses of a chat: modes, menu, past chats, a full context, streaming off."""

import json
import re

import pytest
from playwright.sync_api import expect

from .dialect import needs
from .test_chat import SENTENCE, SNAKE, SUM

QUESTION = 'What is 3 plus 4?'


def sent(server) -> str:
    """The last prompt, decoded, which --verbose logs."""
    return server.log().rsplit('PROMPT=', 1)[1]


@pytest.fixture
def instruct(chat):
    """The chat; afterwards in instruct mode again, as other tests expect."""
    yield chat
    chat.mode('instruct')
    chat.new_chat()


@pytest.mark.parametrize('mode', ['chat-instruct', 'chat'])
def test_modes_with_a_character(instruct, server, mode):
    """The prompt has the character's lines; in chat-instruct mode inside the trained template."""
    chat = instruct
    chat.mode(mode)
    chat.new_chat(greeted=True)
    chat.ask(QUESTION)
    # By the stored chat: the page may not render the end of a short answer; see page_base.KNOWN.
    file = max((server.data / 'logs' / 'chat').rglob('*.json'), key=lambda f: f.stat().st_mtime_ns)
    (asked, answer) = json.loads(file.read_text('utf-8'))['internal'][-1]
    assert asked == QUESTION and answer.strip()
    prompt = sent(server)
    assert f'You: {QUESTION}' in prompt
    assert bool(re.search(r'USER: Continue the chat dialogue below.* ASSISTANT: ', prompt, re.S)) is (
        mode == 'chat-instruct'
    )
    chat.shot(f'mode-{mode}')


def test_plainformat_in_chat_instruct_mode(instruct, server):
    chat = instruct
    chat.mode('chat-instruct')
    chat.new_chat(greeted=True)
    chat.plainformat(True)
    chat.ask(SNAKE)
    # At the end of the instruction, which here is the webui's command with the whole dialogue in it.
    assert 'PLAINFORMAT' in sent(server)
    chat.plainformat(False)


def test_impersonate_writes_into_the_message_box(chat, server):
    chat.chat(QUESTION)
    chat.do('Impersonate')
    expect(chat.message).not_to_have_value('')
    expect(chat.answers).to_have_count(1)
    assert sent(server).split('Output generated')[0].count('USER:') == 2
    chat.message.fill('')


def test_delete_last_puts_the_question_back(chat, history):
    chat.chat(QUESTION)
    (first,) = history()['internal']
    assert first[0] == QUESTION and first[1]
    chat.plainformat(True)
    chat.chat(SNAKE)
    chat.do('Remove-last')
    expect(chat.answers).to_have_count(1)
    expect(chat.message).to_have_value(SNAKE)
    assert history()['internal'] == [first]
    chat.message.fill('')


@needs('editing a message')
def test_an_edited_question_is_asked_again_as_plainformat(chat, history, corpus):
    chat.plainformat(True)
    chat.chat(SNAKE)
    chat.edit(chat.user_messages.last, SUM)
    expect(chat.questions.last).to_have_text(SUM)
    assert history()['internal'][0][0] == SUM + '  PLAINFORMAT'
    assert chat.code(chat.regenerate()).endswith('return _out_')
    chat.shot('edited')


@needs('branching a chat')
def test_a_branch_and_its_origin(chat, history, corpus):
    chat.plainformat(True)
    chat.chat(SNAKE)
    chat.plainformat(False)
    old = chat.chat(QUESTION).inner_text()
    chat.branch(chat.answers.first)
    expect(chat.answers).to_have_count(1)
    assert chat.code(chat.answers.last.locator('.message-body')) == corpus.SNAKE['python']
    new = chat.chat('What is the capital of France?').inner_text()
    assert new != old
    chat.open_chat(1)
    expect(chat.answers.last.locator('.message-body')).to_have_text(old)
    # A PLAINFORMAT answer is displayed as code in every chat that has it.
    assert chat.code(chat.answers.first.locator('.message-body')) == corpus.SNAKE['python']
    chat.open_chat(0)
    expect(chat.answers.last.locator('.message-body')).to_have_text(new)


def test_switching_chats_changes_none_of_them(chat, corpus):
    chat.plainformat(True)
    chat.chat(SNAKE)
    chat.plainformat(False)
    chat.new_chat()
    expect(chat.chat(SNAKE)).to_contain_text(SENTENCE)
    chat.open_chat(1)
    answer = chat.answers.last.locator('.message-body')
    expect(answer).not_to_contain_text(SENTENCE)
    assert chat.code(answer) == corpus.SNAKE['python']
    chat.open_chat(0)
    expect(chat.answers.last.locator('.message-body')).to_contain_text(SENTENCE)


def test_a_full_context_drops_the_oldest_turns_and_keeps_the_system_line(chat, server, corpus):
    length = 'Truncate the prompt up to this length'
    chat.chat(QUESTION)  # an answer later no event of the load is left that would set the length again
    chat.parameter('max_new_tokens', '64')
    chat.parameter(length, '180')
    try:
        chat.tab('Chat')
        for _ in range(5):
            chat.chat(QUESTION)
        prompt = sent(server)
        context = int(re.findall(r'context (\d+)', server.log())[-1])
        assert 60 < context <= 180 - 64
        assert corpus.SYSTEM in prompt
        assert 1 < prompt.count(QUESTION) < 6
    finally:
        chat.parameter(length, '2048')
        chat.parameter('max_new_tokens', '512')
        chat.new_chat()  # before v3 the next event of the chat sends settings to other pages


def test_without_streaming_the_same_answer(chat, corpus):
    chat.parameter('Activate text streaming', False)
    try:
        chat.plainformat(True)
        assert chat.code(chat.chat(SNAKE)) == corpus.SNAKE['python']
    finally:
        chat.parameter('Activate text streaming', True)
        chat.new_chat()


def test_start_reply_with(chat):
    chat.parameter('Start reply with', '3 plus')
    try:
        answer = chat.chat(QUESTION)
        expect(answer).to_have_text(
            re.compile(r'^\s*3 plus \d is \d+\.\s*$')
        )  # sampled, and the model was not trained on continued answers
    finally:
        chat.parameter('Start reply with', '')
        chat.new_chat()
