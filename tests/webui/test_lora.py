"""LoRAs on a GPTQ model: applied, stacked and removed by the LoRA menu; and the Training tab."""

import json
import re

import pytest
from playwright.sync_api import expect

from . import dialect
from . import server as webui_server
from .api import ApiServer
from .conftest import MODEL
from .dialect import needs
from .driver import Page
from .server import TINY

QUESTION = 'What is 3 plus 4?'
ANSWER = '3 plus 4 is 7.'
APPLIED = re.compile('Successful+y applied the LoRAs')  # with one l before v4


def make_lora(folder, seed, scale):
    """Writes an adapter with random matrices for the tiny model's q, v and down projections, in peft's format."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((TINY / 'config.json').read_text())
    hidden, inner = config['hidden_size'], config['intermediate_size']
    sizes = {
        'self_attn.q_proj': (hidden, hidden),
        'self_attn.v_proj': (hidden, hidden),
        'mlp.down_proj': (inner, hidden),
    }
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(config['num_hidden_layers']):
        for name, (k, n) in sizes.items():
            at = f'base_model.model.model.layers.{layer}.{name}.lora_'
            tensors[f'{at}A.weight'] = torch.randn(4, k, generator=generator) * 0.1
            tensors[f'{at}B.weight'] = torch.randn(n, 4, generator=generator) * scale
    folder.mkdir(parents=True)
    save_file(tensors, folder / 'adapter_model.safetensors')
    modules = [name.rpartition('.')[2] for name in sizes]
    about = {'peft_type': 'LORA', 'task_type': 'CAUSAL_LM', 'r': 4, 'lora_alpha': 8, 'target_modules': modules}
    (folder / 'adapter_config.json').write_text(json.dumps({**about, 'base_model_name_or_path': MODEL}))


@pytest.fixture(scope='module')
def server(make_webui, start):
    webui = make_webui('lora')
    loras = webui_server.data_folder(webui) / 'loras'
    make_lora(loras / 'first', 1, 0.3)
    make_lora(loras / 'second', 2, 0.3)
    make_lora(loras / 'nothing', 3, 0.0)
    datasets = webui_server.data_folder(webui) / 'training' / 'datasets'
    datasets.mkdir(parents=True, exist_ok=True)
    (datasets / 'sea.json').write_text(json.dumps([{'text': 'The sea is blue today. ' * 200}]))
    server = start(webui, '--extensions', 'airoboros_gptq', kind=ApiServer).wait()
    server.post('/internal/model/load', model_name=MODEL)
    yield server
    server.stop()


@pytest.fixture
def page(browser, server):
    page = Page(browser, server.url)
    yield page
    page.close()


def first_words(server) -> str:
    """The next tokens' top log probabilities, which a LoRA changes more readily than the tokens."""
    found = server.post('/completions', prompt=QUESTION, temperature=0, max_tokens=3, logprobs=3)
    return json.dumps(found['choices'][0]['logprobs']['top_logprobs'])


def test_applied_stacked_and_removed(page, server):
    bare = first_words(server)
    assert server.chat(QUESTION) == ANSWER
    seen = [bare]
    for names in (['first'], ['first', 'second'], ['second']):
        page.apply_loras(*names)
        expect(page.status).to_contain_text(APPLIED)
        assert server.get('/internal/model/info')['lora_names'] == names
        seen.append(first_words(server))
    page.shot('lora')
    assert len(set(seen)) == 4
    page.apply_loras('nothing')
    assert server.chat(QUESTION) == ANSWER
    page.apply_loras()
    assert server.get('/internal/model/info')['lora_names'] == []
    assert first_words(server) == bare
    assert server.chat(QUESTION) == ANSWER
    assert not dialect.tracebacks(server.log())


def test_a_model_with_loras_is_loaded_again_without_them(page, server):
    bare = first_words(server)
    page.apply_loras('first')
    assert first_words(server) != bare
    server.post('/internal/model/unload')
    server.post('/internal/model/load', model_name=MODEL)
    assert first_words(server) == bare
    assert not dialect.tracebacks(server.log())


@needs('LoRA training (v4 has another Training tab)')
def test_the_training_tab_trains_a_lora(page, server):
    """A few steps on one sentence; the tab reports success, and the LoRA can be applied."""
    page.tab('Training')
    training = page.page.locator('#lora-train-tab')
    training.get_by_label(re.compile(r'^\s*Name\b')).fill('sea')
    training.get_by_role('tab', name='Text Dataset').click()
    page.pick_in(training.get_by_label('Dataset File').locator('visible=true'), 'sea')
    # The webui applies its other form's stride of 512.
    for label, value in (('Batch Size', '1'), ('Micro Batch Size', '1'), ('Cutoff Length', '768'), ('LoRA Rank', '4')):
        training.get_by_label(f'number input for {label}', exact=True).fill(value)
    training.get_by_label('Epochs').fill('1')
    page.idle()
    page.press('Start LoRA Training')
    expect(training.get_by_text('Done! LoRA saved to')).to_be_visible(timeout=120_000)
    page.shot('training')
    assert (server.data / 'loras' / 'sea' / 'adapter_model.safetensors').is_file()
    log = (server.data / 'loras' / 'sea' / 'training_log.json').read_text()
    assert json.loads(log)['train_loss'] > 0
    # As the webui asks: training has changed the model in memory.
    server.post('/internal/model/load', model_name=MODEL)
    bare = first_words(server)
    page.refresh_loras()
    page.apply_loras('sea')
    expect(page.status).to_contain_text(APPLIED)
    assert first_words(server) != bare
    page.apply_loras()
    assert server.chat(QUESTION) == ANSWER
    assert not dialect.tracebacks(server.log())
