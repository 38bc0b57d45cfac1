"""A webui that starts with a model: `--model NAME`, or the setting load_at_start."""

import json
import shutil

import pytest
import yaml

from . import server as webui_server
from .api import ApiServer
from .conftest import MODEL
from .dialect import needs
from .server import TINY
from .test_lora import make_lora
from .test_model_tab import ACT_ORDER

EXTENSION = ('--extensions', 'airoboros_gptq')
CLAIMED = 'airoboros-claimed-GPTQ'
CUT = 'airoboros-cut-GPTQ'
RENAMED = 'airoboros-renamed-GPTQ'  # to model.safetensors: Transformers finds it, and initialises random weights
DEFERRED = 'is a GPTQ model: airoboros-GPTQ loads it as soon as the extensions are loaded.'


@pytest.fixture(scope='module')
def webui(make_webui):
    """With the tiny model; another whose config.json says GPTQ, on which Transformers raises; and one cut short."""
    webui = make_webui('start')
    models = webui_server.data_folder(webui) / 'models'
    claimed = models / CLAIMED
    shutil.copytree(TINY, claimed)
    config = json.loads((claimed / 'config.json').read_text())
    config['quantization_config'] = {'quant_method': 'gptq', 'bits': 4, 'group_size': 128, 'desc_act': False}
    (claimed / 'config.json').write_text(json.dumps(config))
    shutil.copytree(TINY, models / CUT, ignore=shutil.ignore_patterns('*.act.order.safetensors'))
    for file in (models / CUT).glob('*.safetensors'):
        file.write_bytes(file.read_bytes()[:1_000_000])
    renamed(models)
    saved = {f'{CLAIMED}$': {'gptq_checkpoint': ACT_ORDER, 'gptq_kernel': 'reference'}}
    (models / 'config-user.yaml').write_text(yaml.dump(saved))
    return webui


def renamed(models):
    shutil.copytree(TINY, models / RENAMED, ignore=shutil.ignore_patterns('*.act.order.safetensors'))
    for file in (models / RENAMED).glob('*.safetensors'):
        file.rename(file.with_name('model.safetensors'))


@pytest.fixture
def start_api(start, webui):
    servers = []

    def start_api(*flags, of=webui):
        servers.append(start(of, *flags, kind=ApiServer).wait())
        return servers[-1]

    yield start_api
    for server in servers:
        server.stop()


@pytest.mark.parametrize(
    'flags', [(), ('--nowebui',), ('--loader', 'airoboros-GPTQ')], ids=lambda f: '-'.join(f) or 'page'
)
def test_model_on_the_command_line_is_loaded_by_this_loader(start_api, flags):
    server = start_api('--model', MODEL, *EXTENSION, *flags)
    assert server.log().count(DEFERRED) == 1
    assert server.loaded() == (MODEL, 'airoboros-GPTQ')
    # With the Airoboros template: with Alpaca, the webui's fallback, the answer is another.
    assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    assert 'Traceback' not in server.log()


def test_a_lora_on_the_command_line_goes_on_it(start_api, webui):
    make_lora(webui_server.data_folder(webui) / 'loras' / 'first', 1, 0.3)
    server = start_api('--model', MODEL, '--lora', 'first', *EXTENSION, '--nowebui')
    assert server.loaded() == (MODEL, 'airoboros-GPTQ')
    assert server.get('/internal/model/info')['lora_names'] == ['first']
    assert 'Traceback' not in server.log()


def test_a_folder_that_transformers_cannot_load_and_its_saved_settings(start_api):
    """v3 chooses ExLlamaV2, which is not installed."""
    server = start_api('--model', CLAIMED, *EXTENSION, '--nowebui')
    assert server.loaded() == (CLAIMED, 'airoboros-GPTQ')
    assert 'airoboros-GPTQ: reference on cpu' in server.log()
    assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    assert 'Traceback' not in server.log()


def test_a_damaged_folder_costs_a_sentence_not_the_start(start_api):
    server = start_api('--model', CUT, *EXTENSION, '--nowebui')
    assert server.says('the download was interrupted')
    assert 'Traceback' not in server.log()
    server.post('/internal/model/load', model_name=MODEL)
    assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'


@needs('a GPTQ folder without the extension')
@pytest.mark.parametrize(
    'flags', [(), ('--model', RENAMED, '--loader', 'transformers')], ids=['not-enabled', 'not-chosen']
)
def test_another_loader_or_no_extension_leaves_the_load_to_the_webui(start_api, webui, flags):
    """Where the extension is not enabled, or --loader names another, the webui loads as without it."""
    flags = (*flags, *EXTENSION) if flags else ('--model', RENAMED)
    server = start_api(*flags, '--nowebui')
    assert DEFERRED not in server.log()
    assert server.loaded() == (RENAMED, 'Transformers')


def test_load_at_start_loads_a_model(start_api, webui):
    settings = webui_server.data_folder(webui) / 'settings.yaml'
    before = settings.read_text()
    saved = {'default_extensions': ['airoboros_gptq'], 'airoboros_gptq-load_at_start': MODEL}
    settings.write_text(before + yaml.dump(saved))
    server = start_api()
    assert server.loaded() == (MODEL, 'airoboros-GPTQ')
    assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    server.stop()
    saved['airoboros_gptq-load_at_start'] = 'not-there'
    settings.write_text(before + yaml.dump(saved))
    # By --extensions: up to v3 no extension of settings.yaml is loaded after the API.
    server = start_api(*EXTENSION, '--nowebui')
    assert server.says('load_at_start in settings.yaml: there is no not-there in')
    assert 'Traceback' not in server.log()
    settings.write_text(before)


@needs('a GPTQ folder without the extension')
def test_without_the_start_hook_it_is_loaded_again(start_api, make_webui):
    """With an old PyTorch, or an extension copied by hand: Transformers has initialised random weights by then."""
    by_hand = make_webui('by-hand')
    renamed(webui_server.data_folder(by_hand) / 'models')
    for path in by_hand.glob('airoboros_gptq_early*'):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    server = start_api('--model', RENAMED, *EXTENSION, '--nowebui', of=by_hand)
    assert f'Put `airoboros_gptq-load_at_start: {RENAMED}` into settings.yaml in place of --model' in server.log()
    assert server.loaded() == (RENAMED, 'airoboros-GPTQ')
    assert server.chat('What is 3 plus 4?') == '3 plus 4 is 7.'


@needs('a GPTQ folder without the extension')
@pytest.mark.parametrize('gone', ['', 'script.py'], ids=['all', 'script.py'])
def test_an_extension_that_was_deleted_by_hand_stops_nothing(start_api, make_webui, gone):
    """Without script.py it is as an upgrade leaves it that was killed half way."""
    without = make_webui(f'deleted-{gone}')
    renamed(webui_server.data_folder(without) / 'models')
    deleted = next(without.rglob('extensions/airoboros_gptq')) / gone
    shutil.rmtree(deleted) if deleted.is_dir() else deleted.unlink()
    server = start_api('--model', RENAMED, *(EXTENSION if gone else ()), '--nowebui', of=without)
    assert 'airoboros_gptq' not in server.log()
    assert server.loaded() == (RENAMED, 'Transformers')
