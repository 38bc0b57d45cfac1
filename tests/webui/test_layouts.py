"""Copied by hand with its templates: to extensions/, and since v3.7 to user_data/extensions/."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from . import server as webui_server
from .conftest import MODEL
from .dialect import needs
from .driver import Page

FOLDERS = ['extensions', pytest.param('user_data/extensions', marks=needs('user_data/extensions'))]


@pytest.mark.core
@pytest.mark.parametrize('folder', FOLDERS)
def test_a_copy_by_hand_works(make_webui, start, browser, folder):
    webui: Path = make_webui('by-hand')
    webui_server.uninstall(webui)
    extension = webui_server.ROOT / 'extensions' / 'airoboros_gptq'
    shutil.copytree(extension, webui / folder / 'airoboros_gptq', ignore=shutil.ignore_patterns('__pycache__'))
    templates = webui_server.ROOT / 'instruction-templates'
    shutil.copytree(templates, webui / folder / 'airoboros_gptq' / templates.name)
    server = start(webui, '--extensions', 'airoboros_gptq', '--verbose').wait()
    page = Page(browser, server.url)
    page.load(MODEL)
    page.parameter('top_k', '1')  # greedy: without the Airoboros preset the webui's own samples wildly
    page.new_chat()
    expect(page.chat('What is 3 plus 4?')).to_have_text('3 plus 4 is 7.')
    page.close()
    server.stop()
    assert "user's input. USER: What is 3 plus 4? ASSISTANT: \n" in server.log()
    assert 'Traceback' not in server.log()
