"""--multi-user: pages of several users do not affect each other."""

import pytest
import yaml
from playwright.sync_api import expect

from . import server as webui_server
from .conftest import MODEL
from .driver import Page
from .test_chat import SENTENCE, SNAKE


@pytest.fixture(scope='module')
def multi(make_webui, start):
    """A webui whose users cannot load a model: it starts with the tiny model."""
    webui = make_webui('multi')
    settings = {'dark_theme': False, 'preset': 'Airoboros', 'airoboros_gptq-load_at_start': MODEL}
    (webui_server.data_folder(webui) / 'settings.yaml').write_text(yaml.dump(settings))
    server = start(webui, '--multi-user', '--extensions', 'airoboros_gptq', '--verbose').wait()
    yield server
    server.stop()


@pytest.fixture
def new_page(multi, browser):
    pages = []

    def open_page(**kwargs) -> Page:
        pages.append(Page(browser, multi.url, **kwargs))
        return pages[-1]

    yield open_page
    errors = [e for page in pages for e in page.new_errors()]
    for page in pages:
        page.close()
    assert not errors
    assert 'Traceback' not in multi.log()


def test_box_answers_and_throughput_of_one_user_do_not_reach_another(new_page, corpus):
    anna, ben = new_page(), new_page()
    for page in (anna, ben):
        page.tab('Chat')
        expect(page.box).to_be_visible()
        expect(page.status_line).to_contain_text(MODEL)
    anna.plainformat(True)
    assert anna.code(anna.chat(SNAKE)) == corpus.SNAKE['python']
    expect(ben.box).not_to_be_checked()
    expect(ben.answers).to_have_count(0)
    expect(ben.chat(SNAKE)).to_contain_text(SENTENCE)
    expect(anna.box).to_be_checked()
    expect(anna.answers).to_have_count(1)
    expect(anna.answers.last).not_to_contain_text(SENTENCE)
    clara = new_page()
    expect(clara.box).not_to_be_checked()
    expect(clara.answers).to_have_count(0)
    for page in (anna, ben, clara):
        expect(page.status_line).not_to_contain_text('tokens/s')
    anna.shot('multi-user')
    clara.tab('Model')  # without a pick
    assert 'on cpu' in clara.facts()['running'][0]


def test_two_users_who_ask_at_once_get_their_own_answers(new_page):
    anna, ben = new_page(), new_page()
    for number, page in ((3, anna), (5, ben)):
        page.tab('Chat')
        page.send(f'What is {number} plus 4?')
    for number, page in ((3, anna), (5, ben)):
        expect(page.answers).to_have_count(1)
        page.idle()
        expect(page.answers.last.locator('.message-body')).to_have_text(f'{number} plus 4 is {number + 4}.')
