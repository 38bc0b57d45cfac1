"""The page in the dark theme and on a phone: every component can be reached and read."""

import re

import pytest
from playwright.sync_api import expect

from .conftest import MODEL
from .test_chat import SNAKE

PHONE = {'width': 390, 'height': 844}
DARK = {'dark': True}


@pytest.fixture
def opened(open_page):
    """opened(dark=False, **viewport): a page; the button in the Session tab makes it dark."""
    toggled = []

    def opened(dark=False, **looks):
        page = open_page(**looks)
        if dark:
            toggle(page)
            toggled.append(page)
        return page

    yield opened
    for page in toggled:  # the webui saves it, for other pages too
        toggle(page)


def is_dark(page) -> bool:
    return page.page.evaluate("document.body.classList.contains('dark')")


def toggle(page):
    before = is_dark(page)
    page.tab('Session')
    page.page.get_by_role('button', name=re.compile('^Toggle')).locator('visible=true').first.click()
    page.page.wait_for_function("before => document.body.classList.contains('dark') !== before", arg=before)
    page.idle()


@pytest.mark.parametrize('looks', [DARK, PHONE, {**PHONE, **DARK}], ids=['dark', 'phone', 'phone-dark'])
def test_model_is_picked_and_asked(opened, looks, corpus, request):
    page = opened(**looks)
    name = request.node.callspec.id
    assert is_dark(page) is ('dark' in looks)
    page.load(MODEL)
    panel = page.page.locator('.gptq-facts')
    panel.get_by_role('button').click()
    for part in (panel.get_by_role('button'), panel.locator('table')):
        part.scroll_into_view_if_needed()
        expect(part).to_be_in_viewport()
        assert_inside(page, part)
    assert page.facts()['bits'][0] == '4'
    page.shot(f'{name}-model')
    page.new_chat()
    page.plainformat(True)
    answer = page.chat(SNAKE)
    assert page.code(answer) == corpus.SNAKE['python']
    for component in (page.box, page.status_line):
        expect(component).to_be_in_viewport(ratio=1)
        assert_inside(page, component)
    assert_readable(page)
    page.shot(f'{name}-chat')


def assert_inside(page, locator):
    """Not cut off at the side, as a phone cannot scroll there."""
    box = locator.bounding_box()
    assert box['x'] >= 0 and box['x'] + box['width'] <= page.page.viewport_size['width'], box


def assert_readable(page):
    """The status line's text has enough contrast with its background."""
    colours = page.status_line.evaluate("""e => {
        const rgb = s => s.match(/[\\d.]+/g).map(Number);
        const line = e.querySelector('.gptq-status-line'), style = getComputedStyle(line);
        let at = line, ground = [0, 0, 0, 0];
        for (; at && (ground[3] ?? 1) === 0; at = at.parentElement) ground = rgb(getComputedStyle(at).backgroundColor);
        return [rgb(style.color), ground, Number(style.opacity)];
    }""")
    text, ground, opacity = colours
    difference = max(abs(a - b) for a, b in zip(text[:3], ground[:3], strict=False)) * opacity
    assert difference > 75, colours
