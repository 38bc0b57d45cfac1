"""What a page shows that opens while a model is loaded, on the stand-in; in a real webui, tests/webui/test_new_page.py."""

import pytest

from .conftest import MODEL, Model

LOADER = 'airoboros-GPTQ'
ACT_ORDER = f'{MODEL}-4bit-128g.act.order.safetensors'
CHOSEN = {'gptq_checkpoint': ACT_ORDER, 'gptq_kernel': 'reference', 'gptq_format': 'gptq_v2', 'bf16': True}
OTHER = 'some-other-GPTQ'


@pytest.fixture
def webui(webui, monkeypatch):
    """With the patches, a second model, and a load that succeeds at once."""
    webui.patches.apply()
    webui.add_model(OTHER)
    monkeypatch.setattr(webui.loader, 'load', lambda name: (Model(), 'tokenizer'))
    yield webui
    webui.patches.undo()


def load(webui, **settings):
    """As the API does: settings in shared.args, then the load."""
    vars(webui.shared.args).update(settings)
    webui.shared.model, _ = webui.models.load_model(MODEL, LOADER)
    webui.shared.model_name = MODEL


def opened(webui):
    """The values of a page that opens now, without those that it leaves as they are."""
    values = webui.ui.apply_interface_values({}, use_persistent=True)
    return {k: v for k, v in zip(webui.ui.list_interface_input_elements(), values, strict=True) if v is not None}


def test_a_new_page_shows_what_was_loaded_whatever_another_page_has_picked_since(webui):
    load(webui, **CHOSEN)
    expected = {'loader': LOADER, **CHOSEN}
    assert expected.items() <= opened(webui).items()
    state = dict.fromkeys(webui.ui.list_interface_input_elements())
    for picked in (OTHER, 'plain'):
        webui.ui_model_menu.handle_load_model_event_initial(picked, state)
        webui.ui.gather_interface_values(*({'gptq_kernel': 'triton', 'loader': 'llama.cpp'}.get(k) for k in state))
        assert expected.items() <= opened(webui).items()
        assert webui.loader.is_loaded()


def test_without_a_model_a_pick_sets_the_arguments_as_the_webui_does(webui):
    webui.ui_model_menu.handle_load_model_event_initial(OTHER, {})
    assert webui.shared.args.loader == LOADER and webui.shared.args.gptq_checkpoint.startswith(MODEL)
    assert opened(webui) == {}


def test_a_pick_does_not_claim_another_loaders_model(webui):
    webui.shared.model, webui.shared.model_name = object(), 'plain'
    webui.ui_model_menu.handle_load_model_event_initial(OTHER, {})
    assert not webui.loader.is_loaded() and opened(webui) == {}


def test_no_checkpoint_and_a_removed_kernel_are_shown_as_they_are_loaded(webui):
    load(webui, gptq_checkpoint='', gptq_kernel='auto-gptq', gptq_format=None)
    shown = opened(webui)
    assert shown['gptq_checkpoint'].endswith('no-act-order.safetensors')
    assert (shown['gptq_kernel'], shown['gptq_format']) == ('auto', 'auto')


def test_memory_limits_with_units_stay_as_the_page_has_them(webui, monkeypatch):
    """Before v3.0 the page counts in MiB."""
    webui.loaders.loaders_and_params[LOADER].append('cpu_memory')
    elements = [*webui.loaders.list_model_elements(), 'cpu_memory']
    monkeypatch.setattr(webui.loaders, 'list_model_elements', lambda: elements)
    load(webui, cpu_memory='3500MiB')
    assert 'cpu_memory' not in opened(webui)
    webui.shared.args.cpu_memory = 3.5
    assert opened(webui)['cpu_memory'] == 3.5


def test_the_first_page_after_a_load_by_the_api_has_the_models_template(webui, monkeypatch):
    extra = ['instruction_template_str', 'truncation_length']
    names = [*webui.ui.list_interface_input_elements(), *extra]
    monkeypatch.setattr(webui.ui, 'list_interface_input_elements', lambda: names)
    load(webui)
    webui.shared.settings.update(instruction_template_str='of the model', truncation_length=2048)
    assert [opened(webui)[key] for key in extra] == ['of the model', 2048]
    webui.shared.persistent_interface_state['instruction_template_str'] = 'chosen on that page'
    assert opened(webui)['instruction_template_str'] == 'chosen on that page'


def test_the_setting_of_the_box_is_that_of_the_last_change(webui):
    webui.loader.settings = webui.script.params
    for value in (True, False):
        webui.model_tab._set_always(value)
        assert webui.model_tab._on_page_load()[2] is value
