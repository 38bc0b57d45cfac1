"""Takes the screenshots in docs/images of a copy of a webui and of the demo page.

    python tools/screenshots.py WEBUI [PYTHON_OF_THE_WEBUI]

Run with the Python of .venv, after `python install.py test` has made it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / 'docs' / 'images'
TESTS = ROOT / 'tests'
sys.path.insert(0, str(TESTS))

from playwright.sync_api import expect, sync_playwright
from webui import server as webui_server
from webui.driver import Page

MODEL = 'airoboros-tiny-gpt4-1.2-GPTQ'
QUESTION = 'Implement the Snake game in python.'
FLAGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync']
SIZE = {'width': 1300, 'height': 860}


def shoot_webui(browser, webui: Path, python: str) -> None:
    """The Model tab after a pick and a load, and a chat with PLAINFORMAT."""
    with tempfile.TemporaryDirectory() as made:
        copy = webui_server.copy_webui(webui, Path(made) / 'webui')
        webui_server.install(copy)
        shutil.copytree(TESTS / 'models' / MODEL, webui_server.data_folder(copy) / 'models' / MODEL)
        with webui_server.Server(copy, '--extensions', 'airoboros_gptq', python=python) as server:
            server.wait()
            page = Page(browser, server.url, **SIZE)
            page.load(MODEL)
            page.page.screenshot(path=HERE / 'webui-model.png')
            page.plainformat(True)
            page.chat(QUESTION)
            page.page.set_viewport_size({'width': 1200, 'height': 640})
            page.questions.first.evaluate('e => e.scrollIntoView({block: "center"})')
            page.page.screenshot(path=HERE / 'webui-plainformat.png')
            page.close()


def shoot_demo(browser) -> None:
    """The demo page with an answer in bare code."""
    command = [sys.executable, '-m', 'airoboros_gptq', 'demo', '--model-dir', str(TESTS / 'models'), '--no-browser']
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        url = next(line.split()[1] for line in server.stderr if line.startswith('Open http'))
        page = browser.new_context(viewport=SIZE).new_page()
        page.goto(url + '?__theme=light')
        expect(page.locator('#status')).to_contain_text('is loaded.', timeout=120_000)  # the only model, by itself
        page.get_by_label('PLAINFORMAT').check()
        page.locator('#message textarea').fill(QUESTION)
        page.get_by_role('button', name='Send', exact=True).click()
        expect(page.locator('#chat pre code')).to_contain_text('pop(0)', timeout=30_000)
        page.screenshot(path=HERE / 'demo.png')
    finally:
        server.terminate()


def main() -> None:
    webui = Path(sys.argv[1]).resolve()
    python = sys.argv[2] if len(sys.argv) > 2 else webui_server.python_of(webui)
    with sync_playwright() as playwright:
        chromium = os.environ.get('CHROMIUM') or shutil.which('chromium')
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        shoot_demo(browser)
        shoot_webui(browser, webui, python)
        browser.close()


if __name__ == '__main__':
    main()
