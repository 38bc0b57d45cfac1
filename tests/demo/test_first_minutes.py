"""The demo page as somebody meets it: one model that loads by itself, examples, Enter, tabs, a phone, and mistakes."""

import http.server
import re
import shutil
import threading

import pytest
from demo_server import MODELS, SHOTS, TINY, DemoServer, ask, last_answer, load, opened, pick, pick_tiny
from support import edit_json

pytest.importorskip('gradio', reason='the demo page needs gradio: python install.py test', exc_type=ImportError)
expect = pytest.importorskip('playwright.sync_api', reason='needs playwright: python install.py test').expect
if int(__import__('gradio').__version__.split('.')[0]) < 5:
    pytest.skip('the demo page is for gradio 5; this environment has an older one', allow_module_level=True)

EXAMPLES = ['What is the capital of France?', 'What is 12 plus 7?', 'Implement the Snake game in python. · PLAINFORMAT']


@pytest.fixture
def page(browser, server):
    """A page with the tiny model loaded."""
    page = opened(browser, server)
    pick_tiny(page)
    load(page)
    yield page
    page.context.close()


def test_the_only_model_loads_by_itself_and_each_tab_says_how_far_it_is(browser, tmp_path):
    compiler = tmp_path / 'c++'  # it goes on until the test has seen it, and then has no luck
    compiler.write_text(f'#!/bin/sh\nfor i in $(seq 600); do [ -e {tmp_path}/seen ] && exit 1; sleep 0.1; done\n')
    compiler.chmod(0o755)
    (tmp_path / 'models').mkdir()
    shutil.copytree(MODELS / TINY, tmp_path / 'models' / TINY)
    environ = {'CXX': str(compiler), 'AIROBOROS_GPTQ_CACHE': str(tmp_path / 'cache')}
    with DemoServer(tmp_path / 'models', **environ) as server:
        page, tab = opened(browser, server), opened(browser, server)
        for each in (page, tab):
            expect(each.locator('#status')).to_contain_text(f'Loading {TINY}: ', timeout=60_000)
            expect(each.locator('#status')).to_contain_text('compiling the CPU kernel', timeout=120_000)
            expect(each.get_by_role('button', name='Load', exact=True)).to_be_disabled()
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / '4-loading.png')
        ask(tab, 'What is 3 plus 4?')  # answered once there is a model
        (tmp_path / 'seen').touch()
        expect(last_answer(tab)).to_contain_text('3 plus 4 is 7.', timeout=120_000)
        page.reload()
        for each in (page, tab):
            expect(each.locator('#status')).to_contain_text(f'{TINY} is loaded.', timeout=60_000)
            expect(each.locator('.gptq-facts')).to_contain_text('on cpu')
            expect(each.get_by_role('button', name=EXAMPLES[0])).to_be_visible()
        assert server.interrupt() == 0
        page.context.close(), tab.context.close()
    said = ''.join(server.lines).splitlines()
    assert [line.split()[0] for line in said] == ['Starting', 'Open', 'The'], said  # no notices, no traceback


def test_examples_are_asked_by_a_click_and_without_sampling(page):
    sampling = page.get_by_text('Sampling', exact=True)
    sampling.click()
    expect(page.get_by_label('number input for temperature')).to_have_value('0')
    sampling.click()
    assert page.locator('#examples button:visible').all_inner_texts()[:3] == EXAMPLES
    page.get_by_role('button', name=EXAMPLES[2]).click()
    expect(page.locator('#chat pre code')).to_contain_text('return self.body.pop(0)', timeout=60_000)
    expect(page.get_by_label('PLAINFORMAT')).to_be_checked()
    page.screenshot(path=SHOTS / '5-example.png')
    page.get_by_role('button', name=EXAMPLES[0]).click()
    expect(last_answer(page)).to_contain_text('The capital of France is Paris.', timeout=60_000)
    expect(page.get_by_label('PLAINFORMAT')).not_to_be_checked()


def test_enter_sends_and_shift_enter_breaks_the_line(page):
    box = page.locator('#message textarea')
    box.fill('What is')
    box.press('Shift+Enter')
    expect(box).to_have_value('What is\n')
    box.fill('What is 3 plus 4?')
    box.press('Enter')
    expect(last_answer(page)).to_contain_text('3 plus 4 is 7.', timeout=60_000)
    expect(box).to_have_value('')


def test_what_is_typed_while_an_answer_grows_stays(page):
    ask(page, 'Write a function show_price in python that returns the sum of x and q.')
    page.locator('#message textarea').fill('What is 3 plus 4?')
    expect(last_answer(page)).to_contain_text('returns the sum of x and q.', timeout=60_000)
    expect(page.locator('#message textarea')).to_have_value('What is 3 plus 4?')


def test_another_tab_and_a_reload_show_what_is_loaded(page, browser, server):
    tab = opened(browser, server)
    name = f'{TINY}-4bit-128g.act.order.safetensors'
    page.get_by_label('checkpoint').click()
    page.get_by_role('option', name=name, exact=True).click()
    page.get_by_label('kernel').click()
    page.get_by_role('option', name='reference', exact=True).click()
    load(page)
    page.reload()
    for each in (page, tab):
        expect(each.get_by_label('checkpoint')).to_have_value(name, timeout=60_000)
        expect(each.get_by_label('kernel')).to_have_value('reference')
        expect(each.get_by_label('Model', exact=True)).to_have_value(TINY)
        expect(each.locator('#status')).to_contain_text(f'{TINY} is loaded.')
    tab.get_by_role('button', name='Unload', exact=True).click()
    expect(page.locator('#status')).to_contain_text('No model is loaded', timeout=60_000)
    expect(page.locator('#examples button:visible')).to_have_count(0)
    page.locator('#message textarea').fill('Hello')
    page.locator('#message textarea').press('Enter')
    expect(page.locator('#chat-error')).to_contain_text('No model is loaded; pick one and press Load.', timeout=60_000)
    expect(page.locator('#message textarea')).to_have_value('Hello')  # not lost
    tab.context.close()


def test_mistakes_are_sentences_on_the_page_and_nothing_in_the_terminal(page, server):
    pick(page, 'broken-GPTQ')
    load(page)
    expect(page.locator('#status')).to_contain_text('the download was interrupted', timeout=60_000)
    page.screenshot(path=SHOTS / '6-error.png')
    pick(page, TINY)
    load(page)
    page.get_by_text('Sampling', exact=True).click()
    page.get_by_label('number input for temperature').fill('99')
    page.get_by_label('number input for top_p').fill('-1')
    page.locator('#message textarea').fill('What is 3 plus 4?')
    page.locator('#message textarea').press('Enter')
    last_answer(page).wait_for(timeout=60_000)
    page.get_by_role('button', name='Stop', exact=True).click()
    expect(page.locator('#chat-error')).to_have_text('')
    assert 'Traceback' not in ''.join(server.lines)


def test_on_a_phone_the_chat_comes_first_and_nothing_is_cut_off(page, browser, server):
    phone = opened(browser, server, viewport={'width': 390, 'height': 844}, is_mobile=True, has_touch=True)
    expect(phone.get_by_role('button', name=EXAMPLES[0])).to_be_visible(timeout=60_000)
    top = {name: phone.locator(name).bounding_box()['y'] for name in ('#status', '#chat', '#message', '#model')}
    assert top['#status'] < top['#chat'] < top['#message'] < 844 < top['#model'] + 400
    assert top['#message'] < top['#model']
    for name in ('Send', 'Stop', 'Regenerate', 'New chat'):
        box = phone.get_by_role('button', name=name, exact=True).bounding_box()
        assert box['x'] >= 0 and box['x'] + box['width'] <= 390
    assert phone.evaluate('document.documentElement.scrollWidth') <= 390
    phone.screenshot(path=SHOTS / '7-phone.png')
    phone.context.close()


@pytest.fixture
def stranger():
    """The address of a server on another port, and the paths that it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}', asked
    server.shutdown()


def test_no_text_makes_the_browser_fetch_an_address(page, models, stranger):
    """Texts of folders are shown as they are; an answer may have an image, which is not fetched."""
    address, asked = stranger
    broken = models / 'broken-GPTQ'
    image = f'![x]({address}/config.png)<img src="{address}/tag.png">'
    config = (broken / 'config.json').read_bytes()
    try:
        edit_json(broken / 'config.json', architectures=[image], model_type=image)
        (hostile,) = models.glob('x!*')
        edit_json(hostile / 'config.json', architectures=[image], model_type=image)
        for name in ('broken-GPTQ', hostile.name):
            pick(page, name)
            load(page)
            expect(page.locator('#status .gptq-error')).to_be_visible(timeout=60_000)
        for place in ('#status', '.gptq-facts'):
            expect(page.locator(f'{place} img')).to_have_count(0)
        pick(page, TINY)
        load(page)
        blocked = []
        page.on('requestfailed', lambda request: blocked.append(request.url))
        ask(page, f'![x]({address}/chat.png)')
        expect(page.locator('#chat img')).to_have_count(1, timeout=60_000)
        last_answer(page).wait_for(timeout=60_000)
        assert any(url.endswith('/chat.png') for url in blocked) and asked == []
    finally:
        (broken / 'config.json').write_bytes(config)


def test_a_port_that_is_taken_and_a_name_that_is_not_there(server, models):
    port = re.search(r':(\d+)/', server.url)[1]
    taken = DemoServer(models, '--port', port)
    assert taken.process.wait(120) == 1
    unknown = DemoServer(models, '--model', 'nothing')
    assert unknown.process.wait(120) == 1
    for each, says in ((taken, f'The port {port} cannot be had'), (unknown, 'There is no model nothing here')):
        each._reader.join(30)
        assert len(each.lines) == 2 and each.lines[1].startswith(says), each.lines
