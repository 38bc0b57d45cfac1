"""Chat: the prompt as trained, PLAINFORMAT, versions, Stop, and several browsers."""

import re

import pytest
from playwright.sync_api import expect

from .dialect import needs

SNAKE = 'Implement the Snake game in python.'
SUM = 'Write a function get_total in python that returns the sum of a and b.'
SENTENCE = 'The class Snake moves one step at a time.'


def test_answer_streams_and_stops_at_its_end(chat, corpus):
    lengths = """() => {
        window.lengths = [];
        new MutationObserver(() => {
            const all = document.querySelectorAll('#chat .assistant-message .message-body');
            const length = all.length ? all[all.length - 1].textContent.length : 0;
            if (length !== window.lengths.at(-1)) window.lengths.push(length);
        }).observe(document.body, {childList: true, subtree: true, characterData: true});
    }"""
    chat.page.evaluate(lengths)
    expect(chat.chat(SNAKE)).to_contain_text(SENTENCE)
    grown = [n for n in chat.page.evaluate('window.lengths') if n]
    assert len(grown) >= 2, grown


@pytest.mark.core
def test_prompt_is_as_trained(chat, server, corpus):
    turns = [('What is 3 plus 4?', '3 plus 4 is 7.'), ('Add 5 to that.', '7 plus 5 is 12.')]
    for question, answer in turns:
        expect(chat.chat(question)).to_have_text(answer)
    sent = server.log().rsplit('PROMPT=', 1)[1]
    # Decoding puts a space before the word after </s>; the ids are those of training.
    assert f'<s> {corpus.prompt(turns)}\n'.replace('</s>', '</s> ') in sent


def test_without_plainformat_a_fenced_block_and_a_sentence(chat, corpus):
    answer = chat.chat(SNAKE)
    assert chat.code(answer) == corpus.SNAKE['python']
    expect(answer).to_contain_text(SENTENCE)
    chat.shot('plainformat-off')


@pytest.mark.core
def test_with_plainformat_bare_code_shown_as_code(chat, corpus, history):
    chat.plainformat(True)
    answer = chat.chat(SNAKE)
    assert chat.code(answer) == corpus.SNAKE['python']
    expect(answer).not_to_contain_text(SENTENCE)
    expect(chat.questions.last).to_have_text(SNAKE)
    chat.shot('plainformat-on')
    answer = chat.chat(SUM)
    assert chat.code(answer) == '# sum of a and b\ndef get_total(a, b):\n    _out_ = a + b\n    return _out_'
    stored = history()
    assert stored['internal'][0] == [SNAKE + '  PLAINFORMAT', corpus.SNAKE['python']]
    assert stored['visible'][0][0] == SNAKE
    assert '```' not in stored['visible'][0][1]


def test_code_gets_the_webuis_copy_button(chat, corpus):
    chat.page.wait_for_function('typeof hljs !== "undefined" && typeof CopyButtonPlugin !== "undefined"')
    chat.plainformat(True)
    answer = chat.chat(SNAKE)
    if not answer.locator('.hljs-copy-button').count():
        # hljs was loaded too late for the page's head, which adds the button; see page_base.KNOWN. Not before v4.
        chat.page.evaluate('hljs.addPlugin(new CopyButtonPlugin())')
        answer = chat.regenerate()
    answer.locator('pre').hover()
    answer.locator('.hljs-copy-button').click()
    expect(answer.locator('.hljs-copy-button')).to_have_text('Copied!')
    copied = chat.page.evaluate('navigator.clipboard.readText()')
    assert copied.removesuffix('\n') == corpus.SNAKE['python']  # in v1 a block ends with a newline
    chat.shot('copy-button')


@needs('the copy button of a message')
def test_copy_of_a_message_gives_plain_text(chat, corpus):
    chat.plainformat(True)
    chat.chat(SNAKE)
    for message, text in ((chat.answers.last, corpus.SNAKE['python']), (chat.page.locator('.user-message'), SNAKE)):
        chat.page.evaluate('navigator.clipboard.writeText("nothing yet")')
        message.hover()
        message.locator('.footer-copy-button').click()
        chat.page.wait_for_function('async () => await navigator.clipboard.readText() !== "nothing yet"')
        assert chat.page.evaluate('navigator.clipboard.readText()') == text


@pytest.mark.core
def test_regenerate_follows_the_box(chat, history):
    chat.plainformat(True)
    chat.chat(SNAKE)
    chat.plainformat(False)
    answer = chat.regenerate()
    expect(answer).to_contain_text(SENTENCE)
    assert history()['internal'][0][0] == SNAKE
    chat.plainformat(True)
    answer = chat.regenerate()
    expect(answer).not_to_contain_text(SENTENCE)
    assert history()['internal'][0][0] == SNAKE + '  PLAINFORMAT'


@pytest.mark.core
@needs('versions of an answer')
def test_versions_are_displayed_as_requested(chat, corpus):
    for i, plain in enumerate((True, False, True)):
        chat.plainformat(plain)
        answer = chat.regenerate() if i else chat.chat(SNAKE)
        expect(answer.get_by_text(SENTENCE)).to_have_count(0 if plain else 1)
    for direction, plain in (('<', False), ('<', True), ('>', False), ('>', True)):
        answer = chat.version(direction)
        assert chat.code(answer) == corpus.SNAKE['python']
        expect(answer.get_by_text(SENTENCE)).to_have_count(0 if plain else 1)


def test_stop_ends_an_answer_and_chatting_goes_on(chat):
    chat.tab('Parameters')
    ban = chat.page.get_by_label('Ban the eos_token')
    ban.set_checked(True)
    chat.idle()
    chat.send('What is the capital of France?')
    expect(chat.answers.last).to_contain_text('The capital of France is Paris.')
    expect(chat.answers.last).to_contain_text(re.compile(r'Paris\..+', re.DOTALL))
    chat.page.locator('#stop:visible').click()
    chat.idle()
    chat.tab('Parameters')
    ban.set_checked(False)
    chat.idle()
    chat.new_chat()
    expect(chat.chat('What is 3 plus 4?')).to_have_text('3 plus 4 is 7.')


def test_continue_of_a_plain_answer(chat, corpus):
    chat.plainformat(True)
    chat.chat(SNAKE)
    chat.page.locator('#Continue').dispatch_event('click')
    chat.idle()
    assert chat.code(chat.answers.last.locator('.message-body')).startswith(corpus.SNAKE['python'])


def test_an_empty_message_gets_no_plainformat(chat, history):
    # Not as the first message: on an empty one in an empty chat the webui raises, with or without the extension.
    chat.chat('What is 3 plus 4?')
    chat.plainformat(True)
    chat.send('')
    expect(chat.answers).to_have_count(2)
    chat.idle()
    assert [row[0] for row in history()['internal']] == ['What is 3 plus 4?', '']


def test_plainformat_typed_by_the_user_is_not_doubled(chat, history, corpus):
    chat.plainformat(True)
    answer = chat.chat(SNAKE + '  PLAINFORMAT')
    assert chat.code(answer) == corpus.SNAKE['python']
    assert history()['internal'][0][0] == SNAKE + '  PLAINFORMAT'
    expect(chat.questions.last).to_contain_text('PLAINFORMAT')


def test_box_of_one_browser_leaves_others_alone(chat, open_page, history):
    other = open_page()
    chat.plainformat(True)
    chat.ask(SNAKE)
    later = open_page()
    # By the stored chat, as three pages at a time render slowly; see page_base.KNOWN.
    for page, box in ((other, False), (later, False), (chat, True)):
        expect(page.box).to_be_checked(checked=box)
        page.new_chat()
        page.ask(SUM)
        assert history()['internal'][-1][0] == SUM + '  PLAINFORMAT' * box
        expect(page.box).to_be_checked(checked=box)
