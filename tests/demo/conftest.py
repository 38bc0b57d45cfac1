"""A demo server, and a browser that opens its page."""

import os
import shutil

import pytest
from demo_server import FLAGS, MODELS, TINY, WITHOUT_PLAINFORMAT, DemoServer

CHROMIUM = os.environ.get('CHROMIUM') or shutil.which('chromium') or shutil.which('google-chrome')
HOSTILE = 'x![x](q)<img src=q>`GPTQ'  # as far as a file system takes it


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Two good folders, a broken one, and one whose name is markup."""
    folder = tmp_path_factory.mktemp('models')
    for name in (TINY, WITHOUT_PLAINFORMAT):
        shutil.copytree(MODELS / TINY, folder / name)
    for name in ('broken-GPTQ', HOSTILE):
        shutil.copytree(MODELS / TINY, folder / name, ignore=shutil.ignore_patterns('*act.order*'))
        (file,) = (folder / name).glob('*.safetensors')
        file.write_bytes(file.read_bytes()[:100_000])
    return folder


@pytest.fixture(scope='module')
def server(models):
    """A demo server with several models, which is stopped at the end."""
    with DemoServer(models) as server:
        yield server


@pytest.fixture(scope='module')
def browser():
    sync_api = pytest.importorskip('playwright.sync_api', reason='needs playwright: python install.py test')
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
