"""The Chat, Notebook and Default tabs of a page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, expect

from .page_base import PageBase


class ChatTab(PageBase):
    """Asking, reading and changing answers."""

    @property
    def box(self) -> Locator:
        return self.page.locator('#plainformat').get_by_label('PLAINFORMAT', exact=True)

    def plainformat(self, on: bool) -> None:
        self.tab('Chat')
        self.box.set_checked(on)
        expect(self.box).to_be_checked(checked=on)

    @property
    def status_line(self) -> Locator:
        """The line below the message box: name, kernel and device, tokens/s, memory."""
        return self.page.locator('#gptq_status_line')

    def mode(self, name: str) -> None:
        """Selects instruct, chat-instruct or chat; with a character, where the mode has one."""
        self.tab('Chat')
        self.page.locator(f'#chat-mode input[value={name}]').dispatch_event('click')
        expect(self.page.locator(f'#chat-mode input[value={name}]')).to_be_checked()
        self.idle()
        character = self.page.locator('#character-menu input').first
        if name != 'instruct' and not character.input_value():
            # Before v3 a page that opens after a model was loaded may have none, with or without the extension.
            self.tab('Parameters')
            self.page.get_by_role('tab', name='Chat', exact=True).last.click()
            self.pick_in(character, 'Assistant')
            self.tab('Chat')

    def new_chat(self, greeted: bool = False) -> None:
        """An empty chat; in the modes with a character, one that begins with its greeting."""
        self.tab('Chat')
        # By its text: the button has an id in newer versions only.
        self.page.get_by_role('button', name='New chat', exact=True, include_hidden=True).first.dispatch_event('click')
        self.idle()
        expect(self.answers).to_have_count(1 if greeted else 0)

    @property
    def answers(self) -> Locator:
        return self.page.locator('#chat').locator('.assistant-message, .message:has(.circle-bot, .text-bot)')

    @property
    def questions(self) -> Locator:
        return self.user_messages.locator('.message-body')

    @property
    def message(self) -> Locator:
        """The box that a message is typed into."""
        return self.page.locator('#chat-input textarea')

    @property
    def user_messages(self) -> Locator:
        return self.page.locator('#chat').locator('.user-message, .message:has(.circle-you, .text-you)')

    def do(self, name: str) -> None:
        """An entry of the menu beside the message box, by its id: Continue, Impersonate, Remove-last."""
        self.page.locator(f'#{name}').dispatch_event('click')
        self.idle()

    def edit(self, message: Locator, text: str) -> None:
        message.hover()
        message.locator('.footer-edit-button').click()
        message.locator('.editing-textarea').fill(text)
        message.locator('.editing-textarea').press('Enter')
        self.idle()

    def branch(self, message: Locator) -> None:
        """A new chat that ends with this message, which is not the last."""
        before = self.answers.count()
        message.hover()
        message.locator('.footer-branch-button').click()
        self.idle()
        if self.answers.count() == before:  # not rendered, see page_base.KNOWN
            self.open()

    def open_chat(self, number: int) -> None:
        """One of the past chats, the newest being 0."""
        self.page.locator('#past-chats label').nth(number).click()
        self.idle()

    def attach(self, file: Path) -> None:
        self.tab('Chat')
        self.page.locator('#chat-input input[type=file]').set_input_files(file)
        expect(self.page.locator('#chat-input .thumbnails, #chat-input .thumbnail-item').first).to_be_visible()
        self.idle()

    def send(self, text: str) -> None:
        self.tab('Chat')
        self.page.locator('#chat-input textarea').fill(text)
        self.page.locator('#chat-input textarea').press('Enter')

    def ask(self, text: str) -> None:
        """Sends a message and waits until the server has answered, whether or not the page renders it."""
        asked = self.page.evaluate('jobs.asked')
        self.send(text)
        self.page.wait_for_function('asked => jobs.asked > asked', arg=asked)
        self.idle()

    def chat(self, text: str) -> Locator:
        """Sends a message; the body of the answer, once it is complete."""
        before = self.answers.count()
        self.ask(text)
        if self.answers.count() == before:  # not rendered, see page_base.KNOWN; a user would open the page again
            on = self.box.is_visible() and self.box.is_checked()
            self.open()
            if on:
                self.plainformat(True)
        expect(self.answers).to_have_count(before + 1)
        return self.answers.last.locator('.message-body')

    def regenerate(self) -> Locator:
        self.page.locator('#Regenerate').dispatch_event('click')
        self.idle()
        return self.answers.last.locator('.message-body')

    def code(self, answer: Locator) -> str:
        """The exact text of an answer's only code block."""
        expect(answer.locator('pre code')).to_have_count(1)
        # Before v4 a block ends with a newline.
        return answer.locator('pre code').evaluate('e => e.textContent').removesuffix('\n')

    def version(self, direction: str) -> Locator:
        """The version of the last answer before (<) or after (>) the one that is shown."""
        self.answers.last.hover()
        self.answers.last.get_by_role('button', name=direction, exact=True).click()
        self.idle()
        return self.answers.last.locator('.message-body')

    # Notebook and Default tabs

    def notebook(self) -> None:
        """Opens the Notebook tab."""
        self.tab('Notebook')

    @property
    def notebook_box(self) -> Locator:
        return self.page.locator('#gptq-plainformat-notebook').get_by_label('PLAINFORMAT', exact=True)

    def complete(self, text: str, into: str = '#textbox-notebook textarea', out_of: str | None = None) -> str:
        """Generates from a text; the whole text afterwards. By default in the Notebook tab, where it grows in place."""
        area = self.page.locator(into).first
        area.fill(text)
        self.idle()
        asked = self.page.evaluate('jobs.asked')
        self.press('Generate')
        self.page.wait_for_function('asked => jobs.asked > asked', arg=asked)
        self.idle()
        return self.page.locator(out_of or into).first.input_value()
