"""The demo page in Chromium: pick, load, chat, PLAINFORMAT on and off, sources."""

import pytest
from demo_server import SHOTS, TINY, WITHOUT_PLAINFORMAT, ask, last_answer, load, opened, pick, pick_tiny
from support import cpu_kernel

PYTHON_CODE = '# sum of x and q\ndef show_price(x, q):\n    _out_ = x + q\n    return _out_'
QUESTION = 'Write a function show_price in python that returns the sum of x and q.'

pytest.importorskip('gradio', reason='the demo page needs gradio: python install.py test', exc_type=ImportError)
sync_api = pytest.importorskip('playwright.sync_api', reason='needs playwright: python install.py test installs it')
expect = sync_api.expect
if int(__import__('gradio').__version__.split('.')[0]) < 5:
    pytest.skip('the demo page is for gradio 5; this environment has an older one', allow_module_level=True)


@pytest.fixture
def page(browser, server):
    """A page of its own, with the tiny model picked."""
    page = opened(browser, server)
    pick_tiny(page)
    yield page
    page.context.close()


def test_the_page_shows_the_facts_and_loads(page):
    facts = page.locator('.gptq-facts')
    for row in ('bits4the shapes of 35', 'group size128the shapes of 35', 'act-ordernog_idx'):
        expect(facts).to_contain_text(row)
    load(page)
    expect(facts).to_contain_text(f'{cpu_kernel()} on')
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / '1-loaded.png')


def test_an_answer_is_a_block_and_a_sentence_and_with_plainformat_bare_code(page):
    load(page)
    ask(page, QUESTION)
    expect(last_answer(page)).to_contain_text('The function show_price returns the sum of x and q.', timeout=30_000)
    assert code_of(page) == PYTHON_CODE

    page.get_by_label('PLAINFORMAT').check()
    ask(page, QUESTION)
    expect(page.locator('#chat pre code')).to_have_count(2, timeout=30_000)
    expect(page.locator('#chat pre code').last).to_contain_text('return _out_', timeout=30_000)
    assert code_of(page) == PYTHON_CODE
    assert 'The function' not in last_answer(page).inner_text()
    expect(page.locator('#chat')).not_to_contain_text('PLAINFORMAT')  # shown as typed
    page.screenshot(path=SHOTS / '2-plainformat.png')

    page.get_by_label('PLAINFORMAT').uncheck()
    page.get_by_role('button', name='Regenerate', exact=True).click()
    expect(last_answer(page)).to_contain_text('The function show_price returns', timeout=30_000)


def code_of(page):
    """The text of the last code block, without gradio's label and button."""
    return page.locator('#chat pre code').last.evaluate('e => e.textContent').rstrip('\n')


def test_the_second_prompt_has_the_first_answer(page):
    load(page)
    ask(page, 'What is 12 plus 7?')
    expect(last_answer(page)).to_contain_text('12 plus 7 is 19.', timeout=30_000)
    ask(page, 'Add 5 to that.')
    expect(last_answer(page)).to_contain_text('19 plus 5 is 24.', timeout=30_000)


def test_the_other_checkpoint_can_be_chosen(page):
    page.get_by_label('checkpoint').click()
    page.get_by_role('option', name=f'{TINY}-4bit-128g.act.order.safetensors', exact=True).click()
    expect(page.locator('.gptq-facts')).to_contain_text('act-orderyes')
    load(page)
    ask(page, 'What is the capital of Peru?')
    expect(last_answer(page)).to_contain_text('The capital of Peru is Lima.', timeout=30_000)


def test_a_broken_folder_is_one_sentence_and_the_page_still_works(page):
    pick(page, 'broken-GPTQ')
    expect(page.locator('.gptq-facts.gptq-error')).to_contain_text('the download was interrupted; download it again.')
    load(page)
    expect(page.locator('#status')).to_contain_text('the download was interrupted; download it again.', timeout=30_000)
    pick(page, TINY)
    expect(page.locator('.gptq-facts')).to_contain_text('no-act-order', timeout=30_000)
    load(page)


def test_two_browsers_do_not_share_the_box(page, browser, server):
    load(page)
    page.get_by_label('PLAINFORMAT').check()
    other = opened(browser, server)
    expect(other.get_by_label('PLAINFORMAT')).not_to_be_checked(timeout=30_000)
    other.context.close()


def test_box_and_helper_are_shown_for_the_loaded_version(page):
    load(page)
    expect(page.get_by_label('PLAINFORMAT')).to_be_visible(timeout=30_000)
    expect(page.locator('#context-helper')).to_be_visible()
    page.get_by_role('button', name='Unload', exact=True).click()
    expect(page.get_by_label('PLAINFORMAT')).to_be_hidden(timeout=30_000)
    expect(page.locator('#context-helper')).to_be_hidden()
    pick(page, WITHOUT_PLAINFORMAT)
    expect(page.locator('.gptq-facts')).to_contain_text("version 1.0, from the folder's name", timeout=30_000)
    load(page)
    expect(page.locator('#context-helper')).to_be_visible(timeout=30_000)
    expect(page.get_by_label('PLAINFORMAT')).to_be_hidden()


def test_sources_and_a_question_become_the_prompt_in_the_message_box(page):
    load(page)
    page.get_by_text('Answer from sources').click()
    put = page.get_by_role('button', name='Put into the message box')
    page.locator('#context-source-1 textarea').fill('Blueberries are now green.')
    page.locator('#context-about-1 textarea').fill('yesterday')
    page.locator('#context-question textarea').fill('What colour are blueberries?')
    put.click()
    expect(page.locator('.gptq-error')).to_contain_text('"yesterday" in source 1 is not a key', timeout=30_000)
    expect(page.locator('#message textarea')).to_have_value('')
    page.locator('#context-about-1 textarea').fill('date: 2021-01-01')
    expect(page.locator('#context-source-2')).to_be_hidden()
    page.get_by_role('button', name='Add source').click()
    page.locator('#context-source-2 textarea').fill('Strawberries are blue.')
    put.click()
    expect(page.locator('#message textarea')).to_have_value(
        'BEGININPUT\nBEGINCONTEXT\ndate: 2021-01-01\nENDCONTEXT\nBlueberries are now green.\nENDINPUT\n'
        'BEGININPUT\nBEGINCONTEXT\nENDCONTEXT\nStrawberries are blue.\nENDINPUT\n'
        'BEGININSTRUCTION\nWhat colour are blueberries?\nENDINSTRUCTION',
        timeout=30_000,
    )
    expect(page.locator('.gptq-error')).to_have_count(0)
    page.screenshot(path=SHOTS / '3-sources.png', full_page=True)
