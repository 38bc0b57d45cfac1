"""A page of the webui in a browser, without its tabs. Waits for conditions, never for a time."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Locator, expect

from .page_idle import COUNT_JOBS, IDLE

SHOTS = Path(__file__).resolve().parents[2] / 'shots' / 'webui'
KNOWN = (
    # The webui's head uses it before its script is loaded: gradio from PyPI loads a head's scripts late, the fork does not.
    'hljs is not defined',
    # Fonts that gradio from PyPI fetches.
    'net::ERR_NAME_NOT_RESOLVED',
    # The webui renders once a frame and drops earlier updates: on slow frames the one that creates the message.
    'at applyMorphdomUpdate',
    'at handleMorphdomUpdate',  # before v4
)
expect.set_options(timeout=60_000)  # it takes a second, on a busy machine longer


class PageBase:
    """A page in a browser context of its own, with cookies and clipboard."""

    def __init__(self, browser: Browser, url: str, width: int = 1400, height: int = 1000):
        self.context = browser.new_context(viewport={'width': width, 'height': height})
        self.context.grant_permissions(['clipboard-read', 'clipboard-write'], origin=url)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.add_init_script(COUNT_JOBS)
        self.errors: list[str] = []
        self.page.on('pageerror', lambda e: self.errors.append(f'{e} {e.stack or ""}'.strip()))
        self.page.on('console', lambda m: self.errors.append(m.text) if m.type == 'error' else None)
        self.url = f'{url}?__theme=light'
        self.open()

    def open(self) -> None:
        self.page.goto(self.url)
        self.page.get_by_role('tab', name='Model', exact=True).wait_for(timeout=60_000)
        self.idle()
        # A page that opens while a model is loaded may gather its values before they are set, and leave no mode selected,
        # with or without the extension. A user would click this too.
        self.tab('Chat')
        self.page.locator('#chat-mode input[value=instruct]').dispatch_event('click')
        expect(self.page.locator('#chat-mode input[value=instruct]')).to_be_checked()
        self.idle()

    def close(self) -> None:
        self.context.close()

    def new_errors(self) -> list[str]:
        return [e for e in self.errors if not any(known in e for known in KNOWN)]

    def idle(self, seconds: float = 120) -> None:
        """Waits until the page is idle."""
        self.page.evaluate('jobs.quiet = 0')  # a click may not have sent its request yet
        self.page.wait_for_function(IDLE, timeout=seconds * 1000)

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f'{name}.png')

    # Widgets

    def tab(self, name: str) -> None:
        menu = self.page.locator('#navigation-toggle')
        folded = self.page.locator('.header_bar.sidebar-hidden').count() > 0  # as on a phone
        if folded:
            menu.click()
        tab = self.page.get_by_role('tab', name=name, exact=True).first
        tab.click()
        expect(tab).to_have_attribute('aria-selected', 'true')
        if folded:
            menu.click()

    def dropdown(self, label: str) -> Locator:
        return self.page.get_by_role('listbox', name=label, exact=True).first

    def options(self, label: str) -> list[str]:
        """The choices of a dropdown."""
        self.dropdown(label).click()
        self.page.locator('ul.options li').first.wait_for()
        found = [o.strip().lstrip('✓').strip() for o in self.page.locator('ul.options li').all_inner_texts()]
        self.dropdown(label).evaluate('e => e.blur()')
        expect(self.page.locator('ul.options')).to_have_count(0)
        return found

    def pick(self, label: str, value: str) -> None:
        """Chooses an entry of a dropdown, and waits until the page is idle."""
        self.pick_in(self.dropdown(label), value)

    def pick_in(self, dropdown: Locator, value: str) -> None:
        dropdown.click()
        entry = self.page.locator('ul.options li', has_text=re.compile(rf'^\W*{re.escape(value)}\s*$'))
        entry.first.dispatch_event('mousedown')
        expect(dropdown).to_have_value(value)
        self.idle()

    def press(self, name: str) -> None:
        self.page.get_by_role('button', name=name, exact=True).locator('visible=true').first.click()
