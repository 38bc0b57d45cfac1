"""The webui's page in a browser, with all tabs that the tests use; each has a module: page_model.py, page_chat.py."""

from __future__ import annotations

import re

from playwright.sync_api import Error, expect

from .page_chat import ChatTab
from .page_model import ModelTab
from .server import STARTED


class Page(ModelTab, ChatTab):
    """A page in a browser context of its own, with cookies and clipboard."""

    # Parameters

    def parameter(self, label: str, value: str | bool) -> None:
        """Sets a number, a text or a checkbox of Parameters or of the chat's controls."""
        self.tab('Chat' if label == 'Start reply with' else 'Parameters')
        field = self.page.get_by_label(f'number input for {label}', exact=True)
        if not field.count():
            field = self.page.get_by_label(re.compile(rf'^\s*{re.escape(label)}'))
        if isinstance(value, bool):
            field.first.set_checked(value)
        else:
            field.first.fill(value, force=True)
            field.first.blur()
        self.idle()
        if not isinstance(value, bool):
            expect(field.first).to_have_value(value)

    # Session tab

    def save_extensions_settings(self) -> None:
        """Saves to settings.yaml: the button, and the dialog that it opens."""
        self.tab('Session')
        self.page.get_by_role('button', name=re.compile('^Save (extensions settings|UI defaults)')).click()
        self.idle()
        self.press('Save')
        self.idle()

    def choose_extension(self, name: str, on: bool) -> None:
        """Ticks or unticks an extension; restart() applies it."""
        self.tab('Session')
        self.page.locator('#session-tab').get_by_label(name, exact=True).first.set_checked(on)
        self.idle()

    def restart(self, server) -> None:
        """Apply flags/extensions and restart, until the page can be used again."""
        starts = server.log().count(STARTED)
        self.tab('Session')
        self.press('Apply flags/extensions and restart')
        expect(self.page.get_by_text('Reloading...')).to_be_visible()
        # The page reloads itself after a second; on a busy machine that is too early, and it shows an error.
        server.wait(starts + 1)
        try:
            self.open()
        except Error:  # the page was reloading itself, or from the stopped server; a user would open it again
            self.open()
        self.errors.clear()  # of the page while the server was down
