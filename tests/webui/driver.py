"""The webui's page as its user sees it. Waits for conditions, never for a time."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Locator, expect

SHOTS = Path(__file__).resolve().parents[2] / 'shots' / 'webui'
KNOWN = (
    # The webui's head uses it before its script is there: stock gradio loads a head's scripts late, the webui's fork not.
    'hljs is not defined',
    # Fonts that stock gradio fetches.
    'net::ERR_NAME_NOT_RESOLVED',
    # The webui draws once a frame and drops the update before: where frames are slow, the one that makes the message.
    'at applyMorphdomUpdate',
)
expect.set_options(timeout=60_000)  # what is awaited comes in a second; a busy machine takes its time

# Counts what the page asked of the server and what came back, so that "nothing is under way" can be awaited.
_COUNT_JOBS = """
window.jobs = {asked: 0, done: 0, changed: performance.now()};
const note = (key) => { window.jobs[key] += 1; window.jobs.changed = performance.now(); };
const follow = async (body) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ''; ;) {
        const {done, value} = await reader.read();
        if (done) return;
        const events = (rest + value).split('\\n\\n');
        rest = events.pop();
        for (const event of events) {
            window.jobs.changed = performance.now();
            if (JSON.parse(event.slice('data:'.length)).msg === 'process_completed') note('done');
        }
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
# Events come in chains, each link asked for when the one before is done; the gap between two links is shorter than this.
_IDLE = """() => jobs.asked > 0 && jobs.asked === jobs.done && performance.now() - jobs.changed > 300
    && !document.querySelector('._generating')"""


class Page:
    """One browser of one user: its own context, cookies and clipboard."""

    def __init__(self, browser: Browser, url: str, width: int = 1400, height: int = 1000, theme: str = 'light'):
        self.context = browser.new_context(viewport={'width': width, 'height': height})
        self.context.grant_permissions(['clipboard-read', 'clipboard-write'], origin=url)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.add_init_script(_COUNT_JOBS)
        self.errors: list[str] = []
        self.page.on('pageerror', lambda e: self.errors.append(f'{e} {e.stack or ""}'.strip()))
        self.page.on('console', lambda m: self.errors.append(m.text) if m.type == 'error' else None)
        self.url = f'{url}?__theme={theme}'
        self.open()

    def open(self) -> None:
        self.page.goto(self.url)
        self.page.get_by_role('tab', name='Model', exact=True).wait_for(timeout=60_000)
        self.idle()
        # A page that opens while a model is loaded may gather its values before they are set, and set mode to none at
        # all: the webui's own, with or without us. Its user would press this too.
        self.tab('Chat')
        self.page.locator('#chat-mode input[value=instruct]').dispatch_event('click')
        expect(self.page.locator('#chat-mode input[value=instruct]')).to_be_checked()
        self.idle()

    def close(self) -> None:
        self.context.close()

    def new_errors(self) -> list[str]:
        return [e for e in self.errors if not any(known in e for known in KNOWN)]

    def idle(self, seconds: float = 120) -> None:
        """Until the page waits for its user."""
        self.page.wait_for_function(_IDLE, timeout=seconds * 1000)

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f'{name}.png')

    # Widgets

    def tab(self, name: str) -> None:
        tab = self.page.get_by_role('tab', name=name, exact=True).first
        tab.click()
        expect(tab).to_have_attribute('aria-selected', 'true')

    def dropdown(self, label: str) -> Locator:
        return self.page.get_by_role('listbox', name=label, exact=True).first

    def options(self, label: str) -> list[str]:
        """What a dropdown offers."""
        self.dropdown(label).click()
        self.page.locator('ul.options li').first.wait_for()
        found = [o.strip().lstrip('✓').strip() for o in self.page.locator('ul.options li').all_inner_texts()]
        self.dropdown(label).evaluate('e => e.blur()')
        expect(self.page.locator('ul.options')).to_have_count(0)
        return found

    def pick(self, label: str, value: str) -> None:
        """Chooses an entry of a dropdown, and waits for all that follows from it."""
        self.dropdown(label).click()
        entry = self.page.locator('ul.options li', has_text=re.compile(rf'^\W*{re.escape(value)}\s*$'))
        entry.first.dispatch_event('mousedown')
        expect(self.dropdown(label)).to_have_value(value)
        self.idle()

    def press(self, name: str) -> None:
        self.page.get_by_role('button', name=name, exact=True).locator('visible=true').first.click()

    # Model tab

    @property
    def status(self) -> Locator:
        """The line below the download box that says what became of a Load."""
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

    def facts(self) -> dict[str, tuple[str, str]]:
        """The table of facts: name -> (value, where it was read)."""
        rows = self.page.locator('.gptq-facts tr').all()
        cells = [row.locator('td').all_inner_texts() for row in rows]
        return {name: (value, source) for name, value, source in cells}

    # Chat tab

    @property
    def box(self) -> Locator:
        return self.page.get_by_label('PLAINFORMAT', exact=True)

    def plainformat(self, on: bool) -> None:
        self.tab('Chat')
        self.box.set_checked(on)
        expect(self.box).to_be_checked(checked=on)

    def new_chat(self) -> None:
        self.tab('Chat')
        self.page.locator('#new-chat-btn').dispatch_event('click')
        self.idle()
        expect(self.answers).to_have_count(0)

    @property
    def answers(self) -> Locator:
        return self.page.locator('#chat .assistant-message')

    @property
    def questions(self) -> Locator:
        return self.page.locator('#chat .user-message .message-body')

    def send(self, text: str) -> None:
        self.tab('Chat')
        self.page.locator('#chat-input textarea').fill(text)
        self.page.locator('#chat-input textarea').press('Enter')

    def ask(self, text: str) -> None:
        """Sends a message and waits until the server has answered, whatever the page shows of it."""
        asked = self.page.evaluate('jobs.asked')
        self.send(text)
        self.page.wait_for_function('asked => jobs.asked > asked', arg=asked)
        self.idle()

    def chat(self, text: str) -> Locator:
        """Sends a message; the body of the answer, once it is complete."""
        before = self.answers.count()
        self.send(text)
        expect(self.answers).to_have_count(before + 1)
        self.idle()
        return self.answers.last.locator('.message-body')

    def regenerate(self) -> Locator:
        self.page.locator('#Regenerate').dispatch_event('click')
        self.idle()
        return self.answers.last.locator('.message-body')

    def code(self, answer: Locator) -> str:
        """The text of an answer's only code block, to the letter."""
        expect(answer.locator('pre code')).to_have_count(1)
        return answer.locator('pre code').evaluate('e => e.textContent')

    def version(self, direction: str) -> Locator:
        """The version of the last answer before (<) or after (>) the one that is shown."""
        self.answers.last.hover()
        self.answers.last.get_by_role('button', name=direction, exact=True).click()
        self.idle()
        return self.answers.last.locator('.message-body')
