"""The webui's page in a browser. Waits for conditions, never for a time."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Error, Locator, expect

from .server import STARTED

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

# Counts requests to the server and their answers, so that an idle page can be awaited.
_COUNT_JOBS = """
window.jobs = {asked: 0, done: 0, quiet: 0, changed: performance.now()};
const note = (key) => { window.jobs[key] += 1; window.jobs.changed = performance.now(); };
const heard = (data) => {
    if (!data.trim().startsWith('{')) return;  // a heartbeat
    window.jobs.changed = performance.now();
    if (JSON.parse(data).msg === 'process_completed') note('done');
};
const follow = async (body) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ''; ;) {
        const {done, value} = await reader.read();
        if (done) return;
        const events = (rest + value).split('\\n\\n');
        rest = events.pop();
        for (const event of events) heard(event.slice('data:'.length));
    }
};
window.EventSource = class extends EventSource {  // gradio before 4.37 listens so
    constructor(...args) {
        super(...args);
        this.addEventListener('message', (event) => heard(event.data));
    }
};
const fetch_ = window.fetch;
window.fetch = async (...args) => {
    const path = new URL(args[0]?.url ?? args[0], location).pathname;
    const asks = /(queue[/]join|run[/]predict)$/.test(path);
    if (asks) note('asked');
    const answer = await fetch_(...args);
    if (asks && (!answer.ok || path.endsWith('predict'))) note('done');
    if (path.endsWith('queue/data')) follow(answer.clone().body).catch(() => {});  // the page may cut it off
    return answer;
};
"""
# Events come in chains, each requested when the previous one is done, with gaps shorter than this. Counted in frames too,
# as they are slower on a busy machine.
_IDLE = """() => {
    const rests = jobs.asked > 0 && jobs.asked === jobs.done && !document.querySelector('._generating');
    jobs.quiet = rests ? jobs.quiet + 1 : 0;
    return jobs.quiet > 20 && performance.now() - jobs.changed > 300;
}"""


class Page:
    """A page in a browser context of its own, with cookies and clipboard."""

    def __init__(self, browser: Browser, url: str, width: int = 1400, height: int = 1000):
        self.context = browser.new_context(viewport={'width': width, 'height': height})
        self.context.grant_permissions(['clipboard-read', 'clipboard-write'], origin=url)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.add_init_script(_COUNT_JOBS)
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
        self.page.wait_for_function(_IDLE, timeout=seconds * 1000)

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

    # Model tab

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

    # Chat tab

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
        if self.answers.count() == before:  # not rendered, see KNOWN
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
        if self.answers.count() == before:  # not rendered, see KNOWN; a user would open the page again
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
