"""Several people at one webui: nothing of one reaches another."""

import pytest
import yaml
from playwright.sync_api import expect

from . import server as webui_server
from .conftest import MODEL
from .driver import Page
from .test_chat import SENTENCE, SNAKE


@pytest.fixture(scope='module')
def multi(make_webui, start):
    """A webui for several people, who cannot load a model: it starts with ours."""
    webui = make_webui('multi')
    settings = {'dark_theme': False, 'preset': 'Airoboros', 'airoboros_gptq-load_at_start': MODEL}
    (webui_server.data_folder(webui) / 'settings.yaml').write_text(yaml.dump(settings))
    server = start(webui, '--multi-user', '--extensions', 'airoboros_gptq', '--verbose').wait()
    yield server
    server.stop()


@pytest.fixture
def people(multi, browser):
    pages = []

    def arrive(**kwargs) -> Page:
        pages.append(Page(browser, multi.url, **kwargs))
        return pages[-1]

    yield arrive
    errors = [e for page in pages for e in page.new_errors()]
    for page in pages:
        page.close()
    assert not errors
    assert 'Traceback' not in multi.log()


def test_box_answers_and_speed_of_one_are_nobody_elses(people, corpus):
    anna, ben = people(), people()
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
    clara = people()
    expect(clara.box).not_to_be_checked()
    expect(clara.answers).to_have_count(0)
    for page in (anna, ben, clara):
        expect(page.status_line).not_to_contain_text('tokens/s')
    anna.shot('multi-user')
    clara.tab('Model')  # she picked nothing
    assert 'on cpu' in clara.facts()['running'][0]


def test_two_who_ask_at_once_get_each_their_own_answer(people):
    anna, ben = people(), people()
    for number, page in ((3, anna), (5, ben)):
        page.tab('Chat')
        page.send(f'What is {number} plus 4?')
    for number, page in ((3, anna), (5, ben)):
        expect(page.answers).to_have_count(1)
        page.idle()
        expect(page.answers.last.locator('.message-body')).to_have_text(f'{number} plus 4 is {number + 4}.')
