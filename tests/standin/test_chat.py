"""What our patches do to the chat, on a stand-in of the webui's modules."""

import pytest

from .conftest import MODEL

BOX = 'gptq_plainformat'
CODE = '# a class\nclass Snake:\n    __init__ = 1'


@pytest.fixture
def loaded(webui):
    webui.patches.apply()
    webui.shared.model, webui.shared.model_name, webui.shared.args.loader = 'a model', MODEL, 'airoboros-GPTQ'
    yield webui
    webui.patches.undo()


def history(*rows, **metadata):
    shown = [[user.removesuffix('  PLAINFORMAT'), answer] for user, answer in rows]
    return {'internal': [list(row) for row in rows], 'visible': shown, 'metadata': metadata}


def show(webui, history):
    return webui.chat.redraw_html(history, 'You', 'AI', 'instruct', 'cai-chat', 'Assistant')


def test_input_gets_plainformat_and_the_page_what_was_typed(loaded):
    assert loaded.script.chat_input_modifier('Hi', 'Hi', {BOX: True}) == ('Hi  PLAINFORMAT', 'Hi')
    assert loaded.script.chat_input_modifier('Hi', 'Hi', {BOX: False}) == ('Hi', 'Hi')
    assert loaded.script.chat_input_modifier('Hi', 'Hi', {}) == ('Hi', 'Hi')  # the API has no box
    assert loaded.script.chat_input_modifier('', '', {BOX: True}) == ('', '')
    twice = loaded.script.chat_input_modifier('Hi  PLAINFORMAT', 'Hi  PLAINFORMAT', {BOX: True})
    assert twice == ('Hi  PLAINFORMAT', 'Hi  PLAINFORMAT')


def test_a_model_that_is_not_ours_never_gets_plainformat(loaded):
    loaded.shared.args.loader = 'Transformers'
    assert loaded.script.chat_input_modifier('Hi', 'Hi', {BOX: True}) == ('Hi', 'Hi')


@pytest.mark.parametrize(
    ('asked', 'box', 'sent'),
    [
        ('Hi', True, 'Hi  PLAINFORMAT'),
        ('Hi  PLAINFORMAT', True, 'Hi  PLAINFORMAT'),
        ('Hi  PLAINFORMAT', False, 'Hi'),
        ('Hi  PLAINFORMAT', None, 'Hi  PLAINFORMAT'),  # the API
    ],
)
def test_regenerate_obeys_the_box(loaded, asked, box, sent):
    state = {'history': history([asked, CODE]), BOX: box}
    *_, output = loaded.chat.chatbot_wrapper('', state, regenerate=True)
    assert output['internal'] == [[sent, f'answer to: {sent}']]
    versions = output['metadata']['assistant_0']['versions']
    assert [v['plainformat'] for v in versions] == [asked.endswith('PLAINFORMAT'), sent.endswith('PLAINFORMAT')]


def test_a_new_message_passes_as_it_is(loaded):
    state = {'history': history(['Hi', 'Hello']), BOX: True}
    *_, output = loaded.chat.chatbot_wrapper('Ho', state)
    assert output['internal'][-1] == ['Ho', 'answer to: Ho']
    assert output['metadata'] == {}


def test_bare_code_is_drawn_as_code_and_stored_as_text(loaded):
    kept = history(['Hi  PLAINFORMAT', CODE], ['Hi', CODE])
    assert show(loaded, kept) == [['Hi', f'```\n{CODE}\n```'], ['Hi', CODE]]
    assert kept['visible'][0][1] == CODE


def test_an_answer_with_a_fence_of_its_own_or_none_yet_is_drawn_as_it_is(loaded):
    typing = loaded.shared.processing_message
    for answer in ('```python\nx = 1\n```', '', typing):
        assert show(loaded, history(['Hi  PLAINFORMAT', answer]))[0][1] == answer


def test_each_version_is_drawn_as_it_was_asked_for(loaded):
    versions = [{'content': CODE, 'plainformat': True}, {'content': CODE, 'plainformat': False}]
    for current, drawn in ((0, f'```\n{CODE}\n```'), (1, CODE)):
        meta = {'assistant_0': {'versions': versions, 'current_version_index': current}}
        assert show(loaded, history(['Hi', CODE], **meta))[0][1] == drawn


def test_the_box_reaches_the_handlers_and_no_other_page(loaded):
    assert loaded.ui.list_interface_input_elements().count(BOX) == 1
    loaded.ui.gather_interface_values(0.7, [], True)
    assert loaded.shared.persistent_interface_state[BOX] is True
    values = loaded.ui.apply_interface_values({}, use_persistent=True)
    assert values[:2] == [0.7, []]
    assert values[2] is None or isinstance(values[2], dict)  # nothing, or a gradio update that changes nothing


def test_our_components_stand_in_the_page(loaded):
    import gradio as gr

    with gr.Blocks() as loaded.shared.gradio['interface']:
        loaded.shared.gradio['preset_menu'] = gr.Dropdown(label='Preset')
        loaded.ui_chat.create_ui()
        loaded.ui_model_menu.create_ui()
        loaded.ui_model_menu.create_event_handlers()
    components = loaded.shared.gradio
    for key in ('gptq_checkpoint', 'gptq_kernel', 'gptq_format', 'gptq_facts', BOX):
        assert components[key].visible is False
    assert components['gptq_checkpoint'].parent is components['loader'].parent
    assert components[BOX].parent is components['textbox'].parent


def test_a_page_without_the_loaders_menu_still_starts(loaded, caplog):
    import gradio as gr

    original = loaded.ui_model_menu.create_ui._airoboros_gptq_original
    with gr.Blocks():
        original()
        del loaded.shared.gradio['loader']
        loaded.patches._create(lambda: loaded.shared.gradio['loader'], ('gptq_checkpoint',))
    assert 'gptq_checkpoint' in loaded.shared.gradio
    assert 'could not be made' in caplog.text
