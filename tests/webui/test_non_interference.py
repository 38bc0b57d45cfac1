"""An unquantised model in a webui with and without the extension: the same controls, prompts, parameters and answers."""

import re

import pytest

from . import server as webui_server
from .conftest import _plain_llama
from .driver import Page

NAME = 'plain-llama'
EXTENSION = 'airoboros_gptq'
LOADER = 'airoboros-GPTQ'
TABS = ('Chat', 'Notebook', 'Parameters', 'Instruction template', 'Character', 'Model', 'Session')
# Every visible control in its order, with its value. Not its id, which gradio numbers anew each time.
CONTROLS = """() => [...document.querySelectorAll('input, textarea, button, label, [role=tab]')]
    .filter(e => e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}))
    .map(e => [e.tagName, e.type ?? '', e.getAttribute('aria-label') ?? '', (e.closest('label') ?? e).innerText.trim(),
        e.checked ?? '', e.value ?? ''].join('|'))"""
# Differs from run to run: times, durations, addresses, and a chat's name, which is the time it was started.
VARIES = re.compile(
    r'\d\d:\d\d:\d\d-\d+|\d{4}-\d\d-\d\d_\d\dh\d\dm\d\ds|\d{8}-\d\d-\d\d-\d\d|0x[0-9a-f]+|[\d.]+ seconds|[\d.]+ tokens/s'
    r'|localhost:\d+|127[\d.:]+'
)


@pytest.fixture(scope='module')
def seen(make_webui, start, browser):
    """{True: with the extension, False: without} -> the visible controls and the log lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONHASHSEED', '0')  # the log has sets, whose order would vary
        return both(make_webui, start, browser)


def both(make_webui, start, browser) -> dict[bool, dict]:
    found = {}
    for installed in (True, False):
        webui = make_webui('with' if installed else 'without')
        _plain_llama(webui_server.data_folder(webui) / 'models' / NAME)
        if not installed:
            webui_server.uninstall(webui)
        server = start(webui, '--verbose', *(['--extensions', EXTENSION] if installed else [])).wait()
        page = Page(browser, server.url)
        found[installed] = use(page, server)
        assert page.new_errors() == []
        page.close()
        server.stop()
        assert 'Traceback' not in server.log()
    return found


def use(page, server) -> dict:
    """Loads the model, chats, regenerates, continues, completes a text; then reads every tab."""
    page.load(NAME)
    seen = {'loaders': page.options('Model loader'), 'loader': page.dropdown('Model loader').input_value()}
    for label, value in (('max_new_tokens', '8'), ('Seed (-1 for random)', '1')):
        page.parameter(label, value)
    page.new_chat()
    begin = len(server.log())
    page.ask('Hello there  PLAINFORMAT')  # not special with another loader
    page.regenerate()
    page.do('Continue')
    page.notebook()
    page.complete('Once upon a time')
    seen['sent'] = [VARIES.sub('…', line).strip() for line in server.log()[begin:].splitlines()]
    for tab in TABS:
        if page.page.get_by_role('tab', name=tab, exact=True).count():
            page.tab(tab)
            page.idle()
            seen[tab] = [VARIES.sub('…', line) for line in page.page.evaluate(CONTROLS)]
    return seen


def test_same_prompts_parameters_and_answers(seen):
    assert any('PROMPT=' in line for line in seen[True]['sent'])
    assert seen[True]['sent'] == seen[False]['sent']


@pytest.mark.parametrize('tab', TABS)
def test_same_visible_controls(seen, tab):
    if tab not in seen[False]:
        pytest.skip('this webui has no such tab')
    assert len(seen[False][tab]) > 10
    controls = [line for line in seen[True][tab] if EXTENSION not in line]  # the Session tab lists extensions
    assert controls == seen[False][tab]


def test_one_loader_more_and_the_same_one_chosen(seen):
    assert seen[True]['loader'] == seen[False]['loader'] == 'Transformers'
    assert [name for name in seen[True]['loaders'] if name != LOADER] == seen[False]['loaders']
    assert LOADER in seen[True]['loaders']
