"""The chat with the patches, on the stand-in."""

import json
from types import SimpleNamespace

import pytest

from .conftest import MODEL, Model

BOX = 'gptq_plainformat'
CODE = '# a class\nclass Snake:\n    __init__ = 1'


@pytest.fixture
def loaded(webui):
    webui.patches.apply()
    webui.shared.model, webui.shared.model_name, webui.shared.args.loader = Model(), MODEL, 'airoboros-GPTQ'
    yield webui
    webui.patches.undo()


def history(*rows, **metadata):
    shown = [[user.removesuffix('  PLAINFORMAT'), answer] for user, answer in rows]
    return {'internal': [list(row) for row in rows], 'visible': shown, 'metadata': metadata}


def show(webui, history):
    return webui.chat.redraw_html(history, 'You', 'AI', 'instruct', 'cai-chat', 'Assistant')


def test_plainformat_is_added_to_the_message_and_not_shown(loaded):
    assert loaded.script.chat_input_modifier('Hi', 'Hi', {BOX: True}) == ('Hi  PLAINFORMAT', 'Hi')
    assert loaded.script.chat_input_modifier('Hi', 'Hi', {BOX: False}) == ('Hi', 'Hi')
    assert loaded.script.chat_input_modifier('Hi', 'Hi', {}) == ('Hi', 'Hi')  # the API has no box
    assert loaded.script.chat_input_modifier('', '', {BOX: True}) == ('', '')
    twice = loaded.script.chat_input_modifier('Hi  PLAINFORMAT', 'Hi  PLAINFORMAT', {BOX: True})
    assert twice == ('Hi  PLAINFORMAT', 'Hi  PLAINFORMAT')


def test_another_loaders_model_never_gets_plainformat(loaded):
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
def test_regenerate_follows_the_box(loaded, asked, box, sent):
    state = {'history': history([asked, CODE]), BOX: box}
    *_, output = loaded.chat.chatbot_wrapper('', state, regenerate=True)
    assert output['internal'] == [[sent, f'answer to: {sent}']]
    versions = output['metadata']['assistant_0']['versions']
    assert [v['plainformat'] for v in versions] == [asked.endswith('PLAINFORMAT'), sent.endswith('PLAINFORMAT')]


def test_a_new_message_is_unchanged(loaded):
    state = {'history': history(['Hi', 'Hello']), BOX: True}
    *_, output = loaded.chat.chatbot_wrapper('Ho', state)
    assert output['internal'][-1] == ['Ho', 'answer to: Ho']
    assert output['metadata'] == {}


def test_bare_code_is_displayed_as_code_and_stored_as_text(loaded):
    kept = history(['Hi  PLAINFORMAT', CODE], ['Hi', CODE])
    assert show(loaded, kept) == [['Hi', f'```\n{CODE}\n```'], ['Hi', CODE]]
    assert kept['visible'][0][1] == CODE


def test_an_answer_with_a_fence_or_without_text_is_displayed_unchanged(loaded):
    typing = loaded.shared.processing_message
    for answer in ('```python\nx = 1\n```', '', typing):
        assert show(loaded, history(['Hi  PLAINFORMAT', answer]))[0][1] == answer


def test_each_version_is_displayed_as_requested(loaded):
    versions = [{'content': CODE, 'plainformat': True}, {'content': CODE, 'plainformat': False}]
    for current, drawn in ((0, f'```\n{CODE}\n```'), (1, CODE)):
        meta = {'assistant_0': {'versions': versions, 'current_version_index': current}}
        assert show(loaded, history(['Hi', CODE], **meta))[0][1] == drawn


def test_the_box_reaches_the_handlers_and_no_other_page(loaded):
    assert loaded.ui.list_interface_input_elements().count(BOX) == 1
    names = loaded.ui.list_interface_input_elements()
    loaded.ui.gather_interface_values(*({'temperature': 0.7, BOX: True}.get(name) for name in names))
    assert loaded.shared.persistent_interface_state[BOX] is True
    shown = dict(zip(names, loaded.ui.apply_interface_values({}, use_persistent=True), strict=True))
    assert (shown['temperature'], shown[BOX]) == (0.7, None)
    assert BOX not in loaded.shared.persistent_interface_state


def test_the_components_are_in_the_page(loaded):
    import gradio as gr

    with gr.Blocks() as loaded.shared.gradio['interface']:
        loaded.shared.gradio['preset_menu'] = gr.Dropdown(label='Preset')
        loaded.ui_chat.create_ui()
        loaded.ui_notebook.create_ui()
        loaded.ui_default.create_ui()
        loaded.ui_model_menu.create_ui()
        loaded.ui_chat.create_event_handlers()
        loaded.ui_model_menu.create_event_handlers()
    components = loaded.shared.gradio
    for key in ('gptq_checkpoint', 'gptq_kernel', 'gptq_format', 'gptq_facts', 'gptq_always_plainformat', BOX):
        assert components[key].visible is False
    assert components['gptq_checkpoint'].parent is components['loader'].parent
    for key in ('gptq_kernel', 'gptq_format', 'gptq_always_plainformat'):
        assert components[key].parent is components['load_in_8bit'].parent
    footer = components['gptq_message_footer']
    assert footer.visible is False and footer.parent is components['textbox'].parent
    assert [components[BOX], components['gptq_status_line']] == footer.children


def test_a_page_without_the_loaders_menu_still_starts(loaded, caplog):
    import gradio as gr

    original = loaded.originals['modules.ui_model_menu', 'create_ui']
    with gr.Blocks():
        original()
        del loaded.shared.gradio['loader']
        loaded.patches.create_or_hide(lambda: loaded.shared.gradio['loader'], ('gptq_checkpoint',))
    assert 'gptq_checkpoint' in loaded.shared.gradio
    assert 'could not be created' in caplog.text


def test_the_setting_for_the_box_takes_effect_and_can_be_kept(loaded):
    loaded.add_model('some-other-GPTQ')
    loaded.shared.model_name = 'some-other-GPTQ'
    loaded.loader.settings = loaded.script.params
    assert not loaded.chat_tab.offers_plainformat()
    for value in (True, False):
        box, *_ = loaded.model_tab._set_always(value)
        assert box['visible'] is value
        # What the webui writes into settings.yaml: the script's params, and what it had read from there before.
        assert loaded.script.params['always_offer_plainformat'] is value
        assert loaded.shared.settings['airoboros_gptq-always_offer_plainformat'] is value


def test_the_status_line(loaded, monkeypatch):
    session = SimpleNamespace(running='torch-int4 on <cpu>', throughput='', memory_used='process: 1.20 GB')
    session.summary, session.running_as = loaded.loader.session.summary, lambda summary: session.running
    monkeypatch.setattr(loaded.loader, 'session', session)
    parts = [MODEL, 'torch-int4 on &lt;cpu&gt;', 'process: 1.20 GB']

    def line(*parts):
        return f'<div class="gptq-status-line">{" ".join(f"<span>{part}</span>" for part in parts)}</div>'

    assert loaded.chat_tab.status_line() == line(*parts)
    # A page shows it when it is opened, and when the model's status changes: the last of what depends on the model.
    assert loaded.model_tab._on_page_load()[-2] == loaded.chat_tab.status_line()
    assert loaded.model_tab._on_status(MODEL, '', 'auto', 'auto', None, None)[6] == loaded.chat_tab.status_line()
    session.throughput = '7.5 tokens/s'
    assert loaded.chat_tab.status_line() == line(*parts[:2], '7.5 tokens/s', parts[2])
    loaded.shared.args.multi_user = True  # the last answer may have been another user's
    assert loaded.chat_tab.status_line() == line(*parts)
    loaded.shared.args.loader = 'Transformers'
    assert loaded.chat_tab.status_line() == line()


def edit(webui, kept, role, text):
    boxes = {'edit_message_index': 0, 'edit_message_role': role, 'edit_message_text': text}
    names = dict.fromkeys(('name1', 'name2', 'mode', 'chat_style', 'character_menu'), '')
    history, drawn = webui.chat.handle_edit_message_click({'history': kept, **boxes, **names, 'unique_id': 'a'})
    return history, drawn, json.loads((webui.folder / 'a.json').read_text())


def test_an_edited_question_stays_as_it_was_asked(loaded):
    history_, drawn, stored = edit(loaded, history(['Hi  PLAINFORMAT', CODE]), 'user', 'Ho')
    assert history_['internal'][0][0] == 'Ho  PLAINFORMAT' == history_['metadata']['user_0']['versions'][-1]['content']
    assert stored == history_
    assert drawn == [['Ho', f'```\n{CODE}\n```']]
    for role, kept in (('user', history(['Hi', CODE])), ('assistant', history(['Hi  PLAINFORMAT', CODE]))):
        asked = kept['internal'][0][0]
        history_, _, _ = edit(loaded, kept, role, 'x = 2')
        assert history_['internal'][0] == (['x = 2', CODE] if role == 'user' else [asked, 'x = 2'])


def test_plainformat_stands_after_what_is_attached(loaded):
    files = {'user_0': {'attachments': [{'content': 'one'}]}, 'user_1': {'attachments': [{'content': '=====\ntwo'}]}}
    kept = history(['Hi  PLAINFORMAT', CODE], **files)
    prompt = loaded.chat.generate_chat_prompt('Ho  PLAINFORMAT', {'mode': 'instruct', 'history': kept}, history=kept)
    assert prompt.count('=====  PLAINFORMAT [/INST]') == prompt.count('PLAINFORMAT') == 2
    untouched = history(['Hi', CODE], **files)
    as_the_webui = loaded.originals['modules.chat', 'generate_chat_prompt']
    for asked in ('Ho', 'PLAINFORMAT ATTACHMENTS'):
        made = loaded.chat.generate_chat_prompt(asked, {'mode': 'instruct', 'history': untouched}, history=untouched)
        assert made == as_the_webui(asked, {'history': untouched}, history=untouched)


@pytest.mark.parametrize(
    ('name', 'joined'),
    [('airoboros-7B-3.0-GPTQ', '[/INST] Hello'), ('airoboros-7B-gpt4-1.2-GPTQ', '[/INST]Hello')],
)
def test_continue_puts_the_trained_space_before_the_answer(loaded, name, joined):
    loaded.add_model(name)
    loaded.shared.model_name = name
    kept = history(['Hi', 'Hello'])
    state = {'mode': 'instruct', 'history': kept}
    assert loaded.chat.generate_chat_prompt('Hi', state, _continue=True, history=kept).endswith(joined)
    state['mode'] = 'chat'
    assert loaded.chat.generate_chat_prompt('Hi', state, _continue=True, history=kept).endswith('[/INST]Hello')


class Words:
    """A tokenizer of words, each with a space before it that decoding loses in front, as LLaMA's slow one does."""

    def decode(self, ids, skip_special_tokens):
        assert skip_special_tokens is False
        return ' '.join(f'word{int(i)}' for i in ids)

    def convert_ids_to_tokens(self, i):
        return f'▁word{i}' if i else 'word0'


def test_newest_tokens_on_the_cpu_are_read_without_waiting_for_a_gpu(loaded):
    torch = pytest.importorskip('torch')
    loaded.shared.tokenizer = Words()
    ids, read = torch.tensor([5, 6, 7]), loaded.text_generation.get_reply_from_output_ids
    state = {'skip_special_tokens': False}
    assert read(ids, state, 1) == ' word6 word7'
    assert read(torch.tensor([0, 6]), state) == 'word0 word6'
    assert read(ids, state, starting_from=3) == ''
    assert read([5], state) == 'the webui waited for 1 tokens'  # one of a logprob, wherever it lies
    loaded.shared.args.loader = 'Transformers'
    assert read(ids, state, 1) == 'the webui waited for 2 tokens'
