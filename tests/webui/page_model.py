"""The Model tab of a page."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from .page_base import PageBase


class ModelTab(PageBase):
    """Picking, loading, downloading, LoRAs, and the panel of facts."""

    @property
    def status(self) -> Locator:
        """The webui's message about the model, below the download box."""
        return self.page.locator('#model-tab .prose:visible').last

    def choose_model(self, name: str) -> None:
        self.tab('Model')
        if self.dropdown('Model').input_value() != name:
            self.pick('Model', name)

    def load(self, name: str | None = None, expected: str = 'Successfully loaded') -> None:
        if name:
            self.choose_model(name)
        self.press('Load')
        self.idle()
        expect(self.status).to_contain_text(expected)
        self.idle()  # the events that follow a load set the context length again

    def download(self, name: str) -> None:
        """Step 2 and 3 of a model card: the name, and Download."""
        self.page.get_by_label('Download model or LoRA').fill(name)
        self.press('Download')

    def refresh_models(self) -> None:
        """The icon next to the menu of models."""
        self.tab('Model')
        self._refresh_icons().first.click()
        self.idle()

    def _refresh_icons(self) -> Locator:
        return self.page.locator('#model-tab button', has_text=re.compile('[🔄↻]')).locator('visible=true')

    def apply_loras(self, *names: str) -> None:
        """Sets the menu of LoRAs to these and applies them."""
        self.tab('Model')
        menu = self.page.locator('#model-tab').get_by_label('LoRA(s)').first
        if not menu.is_visible():
            self.page.get_by_role('button', name='See more options').click()
            expect(menu).to_be_visible()
        while self.page.locator('.token-remove:visible').count():
            self.page.locator('.token-remove:visible').last.click()
        for name in names:
            menu.click()
            self.page.locator('ul.options li', has_text=re.compile(rf'^\W*{re.escape(name)}\s*$')).first.dispatch_event(
                'mousedown'
            )
        menu.evaluate('e => e.blur()')
        self.press('Apply LoRAs')
        self.idle()

    def refresh_loras(self) -> None:
        """The icon next to the menu of LoRAs."""
        self.tab('Model')
        menu = self.page.locator('#model-tab').get_by_label('LoRA(s)').first
        if not menu.is_visible():
            self.page.get_by_role('button', name='See more options').click()
        self._refresh_icons().last.click()
        self.idle()

    def facts(self) -> dict[str, tuple[str, str]]:
        """The table of facts, folded or not: name -> (value, where it was read)."""
        rows = self.page.locator('.gptq-facts tr').all()
        cells = [row.locator('td').all_text_contents() for row in rows]
        return {name: (value, source) for name, value, source in cells}

    def expect_set_by_the_pick(self) -> None:
        """Loader, preset, context length and template of the tiny model, chosen automatically."""
        self.tab('Model')
        expect(self.dropdown('Model loader')).to_have_value('airoboros-GPTQ')
        self.tab('Parameters')
        expect(self.dropdown('Preset')).to_have_value('Airoboros')
        expect(self.page.get_by_label('Truncate the prompt up to this length')).to_have_value('2048')
        self.tab('Instruction template')
        template = self.page.get_by_role('textbox', name=re.compile('^Instruction template'))
        expect(template).to_have_value(re.compile('Airoboros 1.2 and 1.3 as they were trained'))
