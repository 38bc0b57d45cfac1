"""Template, PLAINFORMAT and context helper for each Airoboros version, on the stand-in."""

import json
from pathlib import Path

import pytest
import yaml

from .conftest import Model

BOX = 'gptq_plainformat'
HELPER = 'gptq_context_helper'
V1_0, V1_2, V1_4, V3_1, V3_3 = (
    'airoboros-13b-gpt4-GPTQ',
    'airoboros-7B-gpt4-1.2-GPTQ',
    'TheBloke_airoboros-13b-gpt4-1.4-GPTQ',
    'airoboros-l2-13b-3.1-GPTQ',
    'airoboros-70b-3.3-GPTQ',
)
OTHER = 'some-llama-GPTQ'


@pytest.fixture
def load(webui):
    """load(name): the webui with a copy of the tiny model of that name, as if it were loaded."""
    webui.script.setup()

    def load(name):
        if not (webui.models_folder / name).exists():
            webui.add_model(name)
        webui.shared.model, webui.shared.model_name, webui.shared.args.loader = Model(), name, 'airoboros-GPTQ'
        return webui

    yield load
    webui.script.params['always_offer_plainformat'] = False
    webui.patches.undo()


def add_template(webui, name):
    path = webui.models_folder / name / 'tokenizer_config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'chat_template': 'of the tokenizer'}))


def picked(webui, name):
    return webui.models_settings.get_model_metadata(name)['instruction_template_str']


def template_of(version):
    folder = Path(__file__).resolve().parents[2] / 'instruction-templates'
    return yaml.safe_load((folder / f'Airoboros-{version}.yaml').read_text())['instruction_template']


@pytest.mark.parametrize(
    ('name', 'template'),
    [(V1_0, 'v1.0'), (V1_2, 'v1.2'), (V1_4, 'v1.4'), ('spicyboros-13b-2.2', 'v2.2'), (V3_1, 'v3.1'), (V3_3, 'v3.0')],
)
def test_a_pick_chooses_the_template_of_the_version(load, name, template):
    assert picked(load(name), name) == template_of(template)


def test_a_half_downloaded_folder_gets_it_too(load):
    webui = load(V1_4)
    for file in (webui.models_folder / V1_4).glob('*.safetensors'):
        file.write_bytes(file.read_bytes()[:1_000_000])
    assert picked(webui, V1_4) == template_of('v1.4')


def test_the_template_of_a_known_version_replaces_the_tokenizers(load):
    for name in (V3_1, V3_3, OTHER):
        add_template(load(name), name)
    webui = load(V3_1)
    assert picked(webui, V3_1) == template_of('v3.1')
    assert picked(webui, V3_3) == picked(webui, OTHER) == 'of the tokenizer'
    webui.shared.user_config = {f'{V3_1}$': {'instruction_template': 'Custom (obtained from model metadata)'}}
    assert picked(webui, V3_1) == 'of the tokenizer'


@pytest.mark.parametrize(
    ('name', 'sent'),
    [(V1_0, 'Hi'), (V1_2, 'Hi  PLAINFORMAT'), (V1_4, 'Hi PLAINFORMAT'), (V3_1, 'Hi PLAINFORMAT'), (OTHER, 'Hi')],
)
def test_plainformat_has_the_trained_spaces_and_a_hidden_box_adds_nothing(load, name, sent):
    webui = load(name)
    assert webui.script.chat_input_modifier('Hi', 'Hi', {BOX: True}) == (sent, 'Hi')
    state = {'history': {'internal': [['Hi', 'Ho']], 'visible': [['Hi', 'Ho']], 'metadata': {}}, BOX: True}
    *_, output = webui.chat.chatbot_wrapper('', state, regenerate=True)
    assert output['internal'][0][0] == sent


@pytest.mark.parametrize(('name', 'box', 'helper'), [(V1_0, False, True), (V1_4, True, True), (OTHER, False, False)])
def test_box_and_helper_are_shown_for_the_loaded_version(load, name, box, helper):
    webui = load(name)
    assert offered(webui) == (box, helper)
    webui.shared.args.loader = 'Transformers'
    assert offered(webui) == (False, False)


def test_a_model_unloaded_by_idle_timeout_gets_the_same_prompt(load):
    """The webui loads it again after it has made the prompt, which must be as trained."""
    webui = load(V1_2)
    webui.shared.model = None
    assert offered(webui) == (False, False)
    webui.shared.args.idle_timeout = 1
    assert offered(webui) == (True, True)
    assert webui.script.chat_input_modifier('Hi', 'Hi', {BOX: True})[0] == 'Hi  PLAINFORMAT'
    webui.shared.model_name = 'None'  # Unload
    assert offered(webui) == (False, False)


def test_a_setting_offers_the_box_for_every_gptq_model(load):
    webui = load(OTHER)
    webui.script.params['always_offer_plainformat'] = True  # as the webui does it, from settings.yaml
    assert offered(webui) == (True, False)
    assert webui.script.chat_input_modifier('Hi', 'Hi', {BOX: True})[0] == 'Hi  PLAINFORMAT'
    webui.shared.args.loader = 'Transformers'
    assert offered(webui) == (False, False)


def offered(webui):
    """Whether the page shows box and helper when it is opened, and when the model's status changes."""
    tab = webui.model_tab
    opened = tab._on_page_load()[3:7]
    changed = tab._on_status(webui.shared.model_name, '', 'auto', 'auto', None, None)[1:5]
    assert opened == changed
    *boxes, helper = (update['visible'] for update in opened)
    assert len(boxes) == 3 and len(set(boxes)) == 1  # of the chat, the notebook and the default tab
    return boxes[0], helper


def test_the_helper_is_among_the_controls_and_not_saved(load):
    import gradio as gr

    webui = load(V1_2)
    with gr.Blocks() as page:
        webui.ui_chat.create_ui()
        webui.ui_notebook.create_ui()
        webui.ui_default.create_ui()
    helper = webui.shared.gradio[HELPER]
    assert helper.visible is False
    assert webui.shared.gradio['mode'].parent.parent.parent is helper.parent
    inside = [c for c in page.blocks.values() if isinstance(c, gr.Textbox) and c.label in ('Source 1', 'Question')]
    assert len(inside) == 2
    named = [webui.shared.gradio[key] for key in webui.ui.list_interface_input_elements() if key in webui.shared.gradio]
    assert not set(map(id, named)) & {id(helper), *map(id, inside)}


@pytest.mark.parametrize('multimodal', [True, False], ids=['MultimodalTextbox', 'Textbox'])
def test_the_helper_fills_either_kind_of_message_box(load, multimodal):
    import gradio as gr

    webui = load(V1_2)
    with gr.Blocks() as page:
        with gr.Column():
            box = (gr.MultimodalTextbox if multimodal else gr.Textbox)(label='Message')
            webui.shared.gradio.update(textbox=box, mode=gr.Radio(['instruct']))
        webui.chat_tab.create_helper()
    (put,) = [f.fn for f in page.fns.values() if f.fn.__name__ == 'put_prompt']
    prompt = 'BEGININPUT\nBEGINCONTEXT\nENDCONTEXT\nA.\nENDINPUT\nBEGININSTRUCTION\nQ\nENDINSTRUCTION'
    assert put('Q', 'A.', '', *[''] * 8) == ({'text': prompt, 'files': []} if multimodal else prompt, '')
    told = put('Q', 'A.', 'yesterday', *[''] * 8)
    assert told[0] == gr.update() and 'yesterday' in told[1]
