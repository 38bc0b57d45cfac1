"""The nine steps of TheBloke's model card, from the download on, with a local stand-in for the hub."""

import json
import shutil

import pytest
import yaml
from playwright.sync_api import expect

from .conftest import MODEL
from .driver import Page
from .hub import Hub
from .server import TINY

NAME = 'TheBloke/airoboros-7B-gpt4-1.2-GPTQ'
FOLDER = NAME.replace('/', '_')
BRANCH = 'gptq-4bit-32g-actorder_True'
SNAKE = 'Implement the Snake game in python.'
WEIGHTS = 'model.safetensors'


@pytest.fixture(scope='module')
def hub(tmp_path_factory):
    """The card's repository as it is now, with the tiny model in it: one file, model.safetensors, on each branch."""
    small = {p.name: p for p in TINY.iterdir() if p.suffix != '.safetensors'}
    weights = {kind: next(TINY.glob(f'*{kind}.safetensors')) for kind in ('128g.no-act-order', '128g.act.order')}
    act_order = tmp_path_factory.mktemp('branch') / 'quantize_config.json'
    claims = json.loads((TINY / 'quantize_config.json').read_text())
    act_order.write_text(json.dumps({**claims, 'desc_act': True}))
    branches = {
        (NAME, 'main'): {**small, WEIGHTS: weights['128g.no-act-order']},
        (NAME, BRANCH): {**small, WEIGHTS: weights['128g.act.order'], 'quantize_config.json': act_order},
    }
    with Hub(branches) as hub:
        yield hub


@pytest.fixture(scope='module')
def webui(make_webui, start, hub):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HF_ENDPOINT', hub.url)
        server = start(make_webui('download'), '--extensions', 'airoboros_gptq').wait()
    yield server
    server.stop()


@pytest.fixture
def page(browser, webui):
    page = Page(browser, webui.url)
    yield page
    errors = page.new_errors()
    page.close()
    assert not errors


def download(page, name, folder):
    page.tab('Model')
    page.download(name)
    expect(page.status).to_contain_text('Model successfully saved to', timeout=120_000)
    expect(page.status).to_contain_text(folder)
    page.idle()
    page.refresh_models()


def test_the_nine_steps_of_the_card(page, webui, corpus):
    # 1 to 4: the Model tab, the name, Download, and its message
    download(page, NAME, FOLDER)
    page.shot('card-4-downloaded')
    # 5 to 7: refresh, pick, load
    assert FOLDER in page.options('Model')
    page.choose_model(FOLDER)
    expect(page.dropdown('Model loader')).to_have_value('airoboros-GPTQ')
    page.load()
    page.shot('card-7-loaded')
    # 8: other settings, save, load again
    page.pick('kernel', 'reference')
    page.press('Save settings')
    page.idle()
    expect(page.status).to_contain_text('saved to')
    page.load()
    assert page.facts()['running'][0].startswith('reference')
    saved = yaml.safe_load((webui.data / 'models' / 'config-user.yaml').read_text())[f'{FOLDER}$']
    assert saved['gptq_kernel'] == 'reference'
    # 9: a prompt
    page.new_chat()
    page.plainformat(True)
    assert page.code(page.chat(SNAKE)) == corpus.SNAKE['python']
    page.shot('card-9-answer')
    page.plainformat(False)


def test_a_branch_is_a_separate_model(page, webui, corpus):
    download(page, f'{NAME}:{BRANCH}', f'{FOLDER}_{BRANCH}')
    page.choose_model(f'{FOLDER}_{BRANCH}')
    assert page.facts()['act-order'][0] == 'yes'
    page.load()
    page.new_chat()
    expect(page.chat('What is 3 plus 4?')).to_have_text('3 plus 4 is 7.')


def test_an_interrupted_download_is_resumed(page, webui, hub):
    weights = webui.data / 'models' / FOLDER / WEIGHTS
    weights.unlink(missing_ok=True)
    whole = hub.repositories[NAME, 'main'][WEIGHTS].read_bytes()
    hub.requests.clear()
    hub.cut.add(WEIGHTS)
    download(page, NAME, FOLDER)
    # Before v3 a request for the whole file in between asks for its size.
    first, *_, then = (first for name, first in hub.requests if name == WEIGHTS)
    assert first == 0 < then <= len(whole) // 2
    assert weights.read_bytes() == whole


def assert_set_as_by_a_pick(page):
    """Everything that a pick sets automatically, without another pick."""
    page.expect_set_by_the_pick()
    page.tab('Model')
    expect(page.dropdown('checkpoint')).to_have_value(WEIGHTS)
    assert page.facts()['bits'][0] == '4'


@pytest.fixture
def half_done(webui, hub):
    """leave(*names, weights=COUNT): makes the folder of a download that was interrupted, with these files and the first
    COUNT bytes of the weights; returns the complete weights.
    """
    folder = webui.data / 'models' / FOLDER

    def leave(*names, weights: int) -> bytes:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in names:
            shutil.copy(hub.repositories[NAME, 'main'][name], folder)
        whole = hub.repositories[NAME, 'main'][WEIGHTS].read_bytes()
        if weights:
            (folder / WEIGHTS).write_bytes(whole[:weights])
        hub.requests.clear()
        return whole

    return leave


def test_a_half_done_download_is_reported_and_can_be_resumed(page, webui, hub, half_done):
    """Pick and Load report it, Download fetches the rest, and Load works without another pick."""
    small = [name for name in hub.repositories[NAME, 'main'] if name != WEIGHTS]
    whole = half_done(*small, weights=1_000_000)
    page.refresh_models()
    page.choose_model(MODEL)
    page.choose_model(FOLDER)
    expect(page.page.locator('.gptq-error')).to_contain_text('is 1.00 MB of 3.62 MB: the download was interrupted')
    page.load(expected='the download was interrupted')
    page.shot('half-done')
    download(page, NAME, FOLDER)
    assert (WEIGHTS, 1_000_000) in hub.requests
    assert (webui.data / 'models' / FOLDER / WEIGHTS).read_bytes() == whole
    expect(page.page.locator('.gptq-error')).to_have_count(0)
    page.load()
    assert_set_as_by_a_pick(page)
    page.new_chat()
    expect(page.chat('What is 3 plus 4?')).to_have_text('3 plus 4 is 7.')


def test_a_folder_picked_before_its_configs_were_downloaded_is_set_up_afterwards(page, half_done):
    half_done('special_tokens_map.json', weights=0)
    page.refresh_models()
    page.choose_model(MODEL)
    page.choose_model(FOLDER)
    expect(page.dropdown('Model loader')).not_to_have_value('airoboros-GPTQ')
    download(page, NAME, FOLDER)
    assert_set_as_by_a_pick(page)
    page.load()
    page.new_chat()
    expect(page.chat('What is 3 plus 4?')).to_have_text('3 plus 4 is 7.')
