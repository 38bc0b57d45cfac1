"""The webui under test, and one server and one browser that most tests share."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import support

from . import dialect
from . import server as webui_server
from .server import TINY, Server

MODEL = TINY.name
COPY = 'airoboros-copy-GPTQ'
OTHER = 'some-other-GPTQ'  # of a quantised model that is no Airoboros
WEBUI = os.environ.get('AIROBOROS_WEBUI')
if not WEBUI and importlib.util.find_spec('playwright') is None:
    collect_ignore_glob = ['test_*.py']  # they could not be imported, and were not asked for


def pytest_configure(config):
    config.addinivalue_line(
        'markers', 'core: the few that say whether the extension works in a version of the webui at all'
    )
    config.addinivalue_line('markers', 'needs(feature): skipped in a webui without that feature; see dialect.py')


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        if not WEBUI:
            item.add_marker(pytest.mark.skip(reason='no webui was given: python install.py test --webui PATH'))
            continue
        for feature in [mark.args[0] for mark in item.iter_markers('needs')]:
            if not dialect.has(Path(WEBUI), feature):
                item.add_marker(pytest.mark.skip(reason=f'this webui lacks {feature}'))


@pytest.fixture(scope='session')
def corpus():
    """The training corpus of the tiny model: questions and their exact answers."""
    return support.corpus()


@pytest.fixture(scope='session')
def make_webui(tmp_path_factory):
    """make_webui(name): a copy of the webui with the extension and the tiny model in it."""

    def make(name: str) -> Path:
        webui = webui_server.copy_webui(Path(WEBUI), tmp_path_factory.mktemp(name) / 'webui')
        webui_server.install(webui)
        data = webui_server.data_folder(webui)
        shutil.copytree(TINY, data / 'models' / MODEL)
        # Light, as the pages of these tests: a page of another theme makes the webui gather values before they are set. With a
        # seed the sampled answers are the same in each run.
        (data / 'settings.yaml').write_text('dark_theme: false\nseed: 1\n')
        return webui

    return make


@pytest.fixture(scope='session')
def start():
    """start(webui, *flags): a running Server; all are stopped at the end."""
    python = webui_server.python_of(Path(WEBUI))
    running = []

    def start(webui: Path, *flags: str, kind=Server) -> Server:
        running.append(kind(webui, *flags, python=python))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope='session')
def server(make_webui, start) -> Server:
    """The webui that most tests share."""
    webui = make_webui('shared')
    models = webui_server.data_folder(webui) / 'models'
    shutil.copytree(TINY, models / COPY)
    shutil.copytree(TINY, models / OTHER)
    _break(models)
    _plain_llama(models / 'plain-llama')
    return start(webui, '--extensions', 'airoboros_gptq', '--verbose').wait()


def _break(models: Path) -> None:
    """Two folders that cannot be loaded: an interrupted download, and a config with invalid JSON."""
    cut = models / 'airoboros-cut-GPTQ'
    shutil.copytree(TINY, cut, ignore=shutil.ignore_patterns('*.act.order.safetensors'))
    for file in cut.glob('*.safetensors'):
        file.write_bytes(file.read_bytes()[:1_000_000])
    shutil.copytree(TINY, models / 'airoboros-garbled-GPTQ')
    (models / 'airoboros-garbled-GPTQ' / 'quantize_config.json').write_text('{"bits": 4,')


# Run by the webui's Python: transformers 4 cannot read what version 5 saves.
_SAVE_PLAIN_LLAMA = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
LlamaForCausalLM(LlamaConfig(vocab_size=1280, **sizes)).save_pretrained(sys.argv[1])
"""


def _plain_llama(folder: Path) -> None:
    """A LLaMA that is not quantised, with the tiny model's tokenizer."""
    python = webui_server.python_of(Path(WEBUI))
    subprocess.run([python, '-c', _SAVE_PLAIN_LLAMA, folder], check=True, env=webui_server.environment())
    for name in ('tokenizer.json', 'tokenizer.model', 'tokenizer_config.json', 'special_tokens_map.json'):
        shutil.copy(TINY / name, folder)


@pytest.fixture(scope='session')
def browser():
    sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    flags = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync']
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get('CHROMIUM') or shutil.which('chromium') or None, args=flags
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    """open_page(): the shared webui in a browser of its own. Afterwards neither page nor server may have logged an error."""
    from .driver import Page

    pages = []
    start = len(server.log())

    def open_page(**kwargs) -> Page:
        pages.append(Page(browser, server.url, **kwargs))
        return pages[-1]

    yield open_page
    errors = [e for page in pages for e in page.new_errors()]
    for page in pages:
        page.close()
    assert not errors
    wrong = dialect.tracebacks(server.log()[start:])
    assert not wrong, ''.join(wrong)


@pytest.fixture
def page(open_page):
    return open_page()


@pytest.fixture
def chat(page):
    """A page with the tiny model loaded, a new chat, and the PLAINFORMAT box unticked."""
    from playwright.sync_api import expect

    page.tab('Chat')
    if not page.box.is_visible():
        page.load(MODEL)
        page.tab('Chat')
        expect(page.box).to_be_visible()
    page.new_chat()
    expect(page.box).not_to_be_checked()
    return page


@pytest.fixture
def history(server):
    """history(): the chat that the webui stored last."""

    def read() -> dict:
        files = (server.data / 'logs' / 'instruct').glob('*.json')
        return json.loads(max(files, key=lambda f: f.stat().st_mtime_ns).read_text('utf-8'))

    return read
