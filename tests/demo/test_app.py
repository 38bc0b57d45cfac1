"""The demo page in Chromium: pick, load, chat, PLAINFORMAT on and off."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support import cpu_kernel

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / 'tests' / 'models'
TINY = 'airoboros-tiny-gpt4-1.2-GPTQ'
WITHOUT_PLAINFORMAT = 'airoboros-tiny-gpt4-GPTQ'  # 1.0, by its name
SHOTS = ROOT / 'shots' / 'demo'
CHROMIUM = os.environ.get('CHROMIUM') or shutil.which('chromium') or shutil.which('google-chrome')
FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]
PYTHON_CODE = '# sum of x and q\ndef show_price(x, q):\n    _out_ = x + q\n    return _out_'
QUESTION = 'Write a function show_price in python that returns the sum of x and q.'

pytest.importorskip('gradio', reason='the demo page needs gradio: python install.py test', exc_type=ImportError)
sync_api = pytest.importorskip('playwright.sync_api', reason='needs playwright: python install.py test installs it')
expect = sync_api.expect
if int(__import__('gradio').__version__.split('.')[0]) < 5:
    pytest.skip('the demo page is for gradio 5; this environment has an older one', allow_module_level=True)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Two good folders and a broken one."""
    folder = tmp_path_factory.mktemp('models')
    shutil.copytree(MODELS / TINY, folder / TINY)
    shutil.copytree(MODELS / TINY, folder / WITHOUT_PLAINFORMAT)
    broken = folder / 'broken-GPTQ'
    shutil.copytree(MODELS / TINY, broken, ignore=shutil.ignore_patterns('*act.order*'))
    (file,) = broken.glob('*.safetensors')
    file.write_bytes(file.read_bytes()[:100_000])
    return folder


@pytest.fixture(scope='module')
def url(models):
    """The URL of a demo server, which is stopped at the end."""
    port = free_port()
    env = {
        **os.environ,
        'PYTHONPATH': str(ROOT / 'extensions'),
        'GRADIO_ANALYTICS_ENABLED': 'False',
        'HF_HUB_OFFLINE': '1',
        'no_proxy': '127.0.0.1,localhost',
    }
    command = [
        sys.executable,
        '-m',
        'airoboros_gptq',
        'demo',
        '--model-dir',
        str(models),
        '--port',
        str(port),
        '--no-browser',
    ]
    server = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    lines = []
    for line in server.stderr:  # ends when the server does
        lines.append(line)
        if line.startswith('Open http'):
            break
    else:
        pytest.fail('the demo did not start:\n' + ''.join(lines))
    yield f'http://127.0.0.1:{port}/?__theme=light'
    server.terminate()
    server.wait()


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, url):
    """A page in a browser context of its own, with the tiny model picked."""
    opened = browser.new_context(viewport={'width': 1300, 'height': 950}).new_page()
    opened.goto(url)
    pick(opened, TINY)
    expect(opened.locator('.gptq-facts')).to_contain_text('no-act-order', timeout=30_000)
    yield opened
    opened.context.close()


def pick(page, name):
    page.get_by_label('Model', exact=True).click()
    page.get_by_role('option', name=name, exact=True).click()


def load(page):
    page.get_by_role('button', name='Load', exact=True).click()
    expect(page.locator('#status')).to_contain_text('Successfully loaded', timeout=60_000)


def ask(page, text):
    """Sends a message, and waits until the event has started, which clears the message box."""
    page.locator('#message textarea').fill(text)
    page.get_by_role('button', name='Send', exact=True).click()
    expect(page.locator('#message textarea')).to_have_value('', timeout=30_000)


def last_answer(page):
    return page.locator('#chat .bot.message, #chat .message.bot').last


def test_the_page_shows_the_facts_and_loads(page):
    facts = page.locator('.gptq-facts')
    for row in ('bits4the shapes of 28', 'group size128the shapes of 28', 'act-ordernog_idx'):
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
    expect(page.locator('.gptq-error')).to_contain_text('the download was interrupted; download it again.')
    page.get_by_role('button', name='Load', exact=True).click()
    expect(page.locator('#status')).to_contain_text('the download was interrupted; download it again.', timeout=30_000)
    pick(page, TINY)
    expect(page.locator('.gptq-facts')).to_contain_text('no-act-order', timeout=30_000)
    load(page)


def test_two_browsers_do_not_share_the_box(page, browser, url):
    load(page)
    page.get_by_label('PLAINFORMAT').check()
    other = browser.new_context().new_page()
    other.goto(url)
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
