"""Loaders, settings and patched functions of the webui, on the stand-in."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

from .conftest import MODEL, PAGE, SCRIPT, STANDIN, Model, seams

LOADER = 'airoboros-GPTQ'


def test_apply_adds_the_loader(webui):
    webui.patches.apply()
    assert LOADER in webui.loaders.loaders_and_params
    assert webui.loaders.loaders_samplers[LOADER] == {'temperature', 'top_p'}
    assert {'gptq_checkpoint', 'gptq_kernel', 'gptq_format'} <= set(webui.loaders.list_model_elements())
    assert {'gptq_checkpoint', 'gptq_kernel', 'gptq_format', 'gptq_facts'} <= set(webui.loaders.get_all_params())
    for args in (webui.shared.args, webui.shared.original_args):
        assert args.gptq_kernel == args.gptq_format == 'auto'


def test_apply_again_does_not_stack(webui):
    webui.patches.apply()
    elements, once = list(webui.loaders.list_model_elements()), webui.models.load_model
    webui.patches.apply()
    assert webui.loaders.list_model_elements() == elements
    assert webui.models.load_model is once


def test_undo_restores_the_same_objects(webui):
    lists = {k: list(v) for k, v in webui.loaders.loaders_and_params.items()}
    flags = vars(webui.shared.args).copy()
    webui.patches.apply()
    assert seams() != webui.originals
    webui.patches.apply()
    webui.patches.undo()
    after = seams()
    assert after.keys() == webui.originals.keys()
    assert [key for key in after if after[key] is not webui.originals[key]] == []
    assert webui.loaders.loaders_and_params == lists
    assert LOADER not in webui.loaders.loaders_samplers
    assert 'gptq_checkpoint' not in webui.loaders.list_model_elements()
    assert vars(webui.shared.args) == flags


def test_functions_imported_by_value_are_replaced_too(webui):
    webui.patches.apply()
    menu = webui.ui_model_menu
    assert menu.load_model is webui.models.load_model is not webui.originals['modules.models', 'load_model']
    assert menu.get_model_metadata is webui.models.get_model_metadata is webui.models_settings.get_model_metadata
    assert menu.save_model_settings is webui.models_settings.save_model_settings
    assert webui.chat.chat_html_wrapper is webui.html_generator.chat_html_wrapper


def test_load_model_calls_this_loader_and_keeps_its_name(webui, monkeypatch):
    webui.patches.apply()
    monkeypatch.setattr(webui.loader, 'load', lambda name: (f'{name} by gptq', 'tokenizer'))
    assert webui.ui_model_menu.load_model(MODEL, LOADER) == (f'{MODEL} by gptq', 'tokenizer')
    assert webui.shared.args.loader == LOADER
    # As the API does: without a loader.
    webui.shared.args.loader = None
    assert webui.models.load_model(MODEL) == (f'{MODEL} by gptq', 'tokenizer')
    assert webui.shared.args.loader == LOADER


def test_other_loaders_are_unchanged(webui):
    webui.patches.apply()
    assert webui.models.load_model('plain', 'Transformers')[0] == 'plain by transformers'
    assert webui.shared.args.loader == 'Transformers'
    assert webui.models.load_model('some.gguf', 'llama.cpp')[0] == 'some.gguf by llama.cpp'
    assert webui.models_settings.infer_loader('plain', {}) == 'Transformers'
    # Also for a GPTQ folder, if the user chooses it.
    assert webui.models.load_model(MODEL, 'Transformers')[0] == f'{MODEL} by transformers'


@pytest.mark.parametrize(
    ('module', 'name'),
    [('models_settings', 'infer_loader'), ('models', 'transformers_loader'), ('chat', 'chatbot_wrapper')],
)
def test_a_missing_function_is_one_line_in_the_log(webui, caplog, module, name):
    delattr(getattr(webui, module), name)
    webui.patches.apply()
    [line] = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert f'modules.{module}.{name}' in line and 'is missing' in line
    assert LOADER in webui.loaders.loaders_and_params
    webui.patches.undo()


def test_without_a_page_only_the_loader_is_patched_and_nothing_is_missing(webui, caplog, monkeypatch):
    for name in PAGE:
        monkeypatch.delitem(sys.modules, f'modules.{name}')
    webui.patches.apply()
    assert [r.getMessage() for r in caplog.records] == []
    assert webui.models.load_model is not webui.originals['modules.models', 'load_model']
    assert webui.chat.chatbot_wrapper is webui.originals['modules.chat', 'chatbot_wrapper']
    webui.patches.undo()


def test_a_pick_sets_loader_checkpoint_and_template(webui):
    webui.patches.apply()
    found = webui.models_settings.get_model_metadata(MODEL)
    assert found['loader'] == LOADER
    assert found['gptq_checkpoint'].endswith('no-act-order.safetensors')
    assert found['instruction_template'] == 'Airoboros-v1.2'
    assert 'Airoboros 1.2 and 1.3 as they were trained' in found['instruction_template_str']


def test_template_is_only_set_for_airoboros_without_a_chosen_one(webui):
    webui.patches.apply()
    webui.add_model('some-other-GPTQ')
    assert webui.models_settings.get_model_metadata('some-other-GPTQ')['instruction_template'] == 'Alpaca'
    for chosen in ('Vicuna-v1.1', 'Alpaca'):  # Alpaca is also the webui's default
        webui.shared.user_config = {f'{MODEL}$': {'instruction_template': chosen}}
        assert webui.models_settings.get_model_metadata(MODEL)['instruction_template'] == chosen


def test_the_webuis_own_list_of_templates_is_overruled(webui, monkeypatch):
    webui.patches.apply()
    # Up to v4.2, for most Airoboros; its Airoboros-v1.2 is not as trained.
    for listed in ('Vicuna-v1.1', 'Airoboros-v1.2'):
        monkeypatch.setattr(
            webui.models_settings, 'get_fallback_settings', lambda t=listed: {'instruction_template': t}
        )
        found = webui.models_settings.get_model_metadata(MODEL)
        assert found['instruction_template'] == 'Airoboros-v1.2'
        assert 'as they were trained' in found['instruction_template_str']


@pytest.mark.parametrize('inferred', ['ExLlamav2_HF', 'AutoGPTQ', 'llama.cpp'])
def test_a_gptq_folder_inferred_for_another_loader(webui, monkeypatch, inferred):
    monkeypatch.setattr(webui.models_settings, 'infer_loader', lambda *args, **kwargs: inferred)
    webui.patches.apply()
    expected = 'llama.cpp' if inferred == 'llama.cpp' else LOADER
    assert webui.models_settings.get_model_metadata(MODEL)['loader'] == expected


def test_saved_settings_have_no_loader_and_are_restored(webui):
    webui.patches.apply()
    file = webui.models_settings.get_model_metadata(MODEL)['gptq_checkpoint'].replace('no-act', 'act')
    file = file.replace('.act-order', '.act.order')
    state = {'loader': LOADER, 'gptq_checkpoint': file, 'gptq_kernel': 'reference', 'cpu': True, 'ctx_size': 4096}
    [word] = webui.ui_model_menu.save_model_settings(MODEL, state)
    assert 'saved' in word
    [saved] = yaml.safe_load((webui.models_folder / 'config-user.yaml').read_text()).values()
    assert saved == {'gptq_checkpoint': file, 'gptq_kernel': 'reference', 'cpu': True}
    found = webui.models_settings.get_model_metadata(MODEL)
    assert (found['loader'], found['gptq_checkpoint'], found['gptq_kernel']) == (LOADER, file, 'reference')
    # A loader that was saved for it, by a webui without the extension, is dropped.
    webui.shared.load_user_config = lambda: {f'{MODEL}$': {'loader': 'Transformers'}}
    list(webui.ui_model_menu.save_model_settings(MODEL, {'loader': LOADER, 'gptq_kernel': 'auto'}))
    [saved] = yaml.safe_load((webui.models_folder / 'config-user.yaml').read_text()).values()
    assert saved == {'gptq_kernel': 'auto'}
    # For other loaders the webui saves.
    list(webui.ui_model_menu.save_model_settings('plain', {'loader': 'Transformers', 'cpu': True, 'bf16': False}))
    saved = yaml.safe_load((webui.models_folder / 'config-user.yaml').read_text())
    assert saved['plain$']['loader'] == 'Transformers'


def test_a_format_is_saved_and_restored(webui):
    webui.patches.apply()
    assert webui.models_settings.get_model_metadata(MODEL)['gptq_format'] == 'auto'
    list(webui.ui_model_menu.save_model_settings(MODEL, {'loader': LOADER, 'gptq_format': 'gptq_v2'}))
    [saved] = yaml.safe_load((webui.models_folder / 'config-user.yaml').read_text()).values()
    assert saved == {'gptq_format': 'gptq_v2'}
    assert webui.models_settings.get_model_metadata(MODEL)['gptq_format'] == 'gptq_v2'
    # And the panel shows it at the next pick.
    _, facts, _ = webui.model_tab._on_pick(MODEL)
    assert '<td>gptq_v2</td><td>named by the user</td>' in facts


@pytest.fixture
def given(webui, monkeypatch):
    """What the last load was given; it is not done, and returns a Model."""
    webui.patches.apply()
    core, given = webui.script._import('model.load'), {}
    monkeypatch.setattr(
        core, 'load', lambda summary, **options: given.update(options, summary=summary) or (Model(), object())
    )
    return given


@pytest.mark.parametrize(('chosen', 'handed_on'), [('auto', 'gptq'), ('', 'gptq'), ('gptq_v2', 'gptq_v2')])
def test_a_format_reaches_the_loader(webui, given, chosen, handed_on):
    webui.shared.args.gptq_format = chosen
    webui.shared.model, _ = webui.ui_model_menu.load_model(MODEL, LOADER)
    assert isinstance(webui.shared.model, Model), webui.loader.load_error
    assert given['summary'].quantization.checkpoint_format == handed_on
    # The panel shows as running only the file as it was read.
    assert 'it runs' in webui.model_tab._facts(MODEL, '', 'auto', chosen)
    assert 'it runs' not in webui.model_tab._facts(MODEL, '', 'auto', 'auto' if chosen == 'gptq_v2' else 'gptq_v2')


def test_load_shows_its_progress_on_the_page_and_an_api_call_in_the_terminal(webui, given):
    shown = []
    list(webui.ui_model_menu.load_model_wrapper(MODEL, LOADER, lambda done, desc: shown.append((done, desc)), True))
    given['progress'](1, 4)
    assert shown == [(0, f'Loading {MODEL}'), (0.25, f'Loading {MODEL}')]
    webui.models.load_model(MODEL, LOADER)
    assert given['progress'] is None


@pytest.mark.parametrize('module', ['modules.transformers_loader', 'modules.callbacks'], ids=['v3', 'before'])
def test_a_load_marks_the_webuis_stream_and_undo_takes_the_mark_off(webui, given, monkeypatch, module):
    class Stream:
        pass

    monkeypatch.setitem(sys.modules, module, SimpleNamespace(Stream=Stream))
    webui.models.load_model(MODEL, LOADER)
    assert Stream.takes_ids_on_the_cpu is True
    webui.patches.undo()
    assert not hasattr(Stream, 'takes_ids_on_the_cpu')


def test_a_kernel_reaches_the_loader(webui, given):
    webui.shared.args.gptq_kernel = 'reference'
    webui.ui_model_menu.load_model(MODEL, LOADER)
    assert given['kernel'] == 'reference'


def test_a_removed_kernel_in_saved_settings_is_auto_with_a_line_in_the_log(webui, caplog):
    webui.patches.apply()
    for name in (MODEL, 'another-GPTQ'):
        webui.shared.user_config = {f'{name}$': {'gptq_kernel': 'auto-gptq'}}
        if name != MODEL:
            webui.add_model(name)
        for _ in range(2):  # as a pick does
            assert webui.models_settings.get_model_metadata(name)['gptq_kernel'] == 'auto'
    lines = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    said = 'airoboros_gptq: the kernel auto-gptq, set for {}, was removed; auto is used instead.'
    assert lines == [said.format(MODEL), said.format('another-GPTQ')]


def test_a_removed_kernel_in_an_api_call_is_auto_with_a_line_in_the_log(webui, given, caplog):
    webui.shared.args.gptq_kernel = 'auto-gptq'
    webui.models.load_model(MODEL, LOADER)
    assert given['kernel'] == 'auto'
    assert [r.getMessage() for r in caplog.records if r.levelname == 'WARNING'] == [
        f'airoboros_gptq: the kernel auto-gptq, set for {MODEL}, was removed; auto is used instead.'
    ]


def test_an_unknown_kernel_is_one_sentence(webui):
    webui.patches.apply()
    webui.shared.args.gptq_kernel = 'no-such-kernel'
    *_, last = webui.ui_model_menu.load_model_wrapper(MODEL, LOADER, autoload=True)
    assert last.startswith('There is no kernel no-such-kernel; choose one of auto, ')


def test_an_unknown_format_is_one_sentence(webui):
    webui.patches.apply()
    webui.shared.args.gptq_format = 'v3'
    *_, last = webui.ui_model_menu.load_model_wrapper(MODEL, LOADER, autoload=True)
    assert last == 'There is no checkpoint format v3; choose gptq or gptq_v2.'


def test_a_broken_folder_is_one_sentence_in_the_webuis_message(webui):
    webui.patches.apply()
    (webui.add_model('garbled-GPTQ') / 'quantize_config.json').write_text('{"bits": 4,')
    *_, last = webui.ui_model_menu.load_model_wrapper('garbled-GPTQ', LOADER, autoload=True)
    assert 'quantize_config.json' in last and last.endswith('.')
    assert '\n' not in last and 'Traceback' not in last
    assert webui.shared.model is None


def test_messages_of_a_pick_and_of_other_loaders_are_the_webuis(webui):
    webui.patches.apply()
    assert list(webui.ui_model_menu.load_model_wrapper(MODEL, LOADER)) == ['Settings updated: 2048']
    *_, last = webui.ui_model_menu.load_model_wrapper('plain', 'Transformers', autoload=True)
    assert last == 'Successfully loaded `plain`.'


def test_setup_imports_neither_torch_nor_transformers(webui):
    """Nor gradio, without a page. The time it takes is printed, as machines differ."""
    program = f"""
import importlib.util, sys, time
sys.path.insert(0, {str(STANDIN)!r})
import modules.models
start = time.perf_counter()
spec = importlib.util.spec_from_file_location('user_ext_airoboros_gptq', {str(SCRIPT)!r})
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
script.setup()
print(f'{{time.perf_counter() - start:.3f}} s')
print([name for name in ('torch', 'transformers', 'gradio', 'numpy') if name in sys.modules])
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True, cwd=webui.folder)
    seconds, heavy = done.stdout.splitlines()
    print('import and setup took', seconds)
    assert heavy == '[]'


def test_several_loras_are_merged_by_their_names(webui):
    class LoraModel(Model, torch.nn.Module):
        dtype = torch.float32
        peft_config = {'first': None, 'second': None, '__merged': None}

    webui.patches.apply()
    webui.shared.model, webui.shared.lora_names = LoraModel(), ['first']
    for loader, merged in ((LOADER, ['first', 'second']), ('Transformers', ['first'])):
        webui.shared.args.loader, webui.shared.lora_names = loader, ['first']
        webui.LoRA.add_lora_to_model(['first', 'second'])
        assert webui.shared.model.merged == merged
        assert webui.shared.lora_names == ['first', 'second']


def test_a_lora_leaves_the_model_in_its_dtype(webui):
    """The webui casts the model to float16, in which a bfloat16 one may overflow, and does not cast it back."""

    class LoraModel(Model, torch.nn.Module):
        dtype, peft_config = torch.bfloat16, {'first': None}

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.full((2,), 1e30, dtype=torch.bfloat16))
            self.register_buffer('inv_freq', torch.ones(2))

        def half(self):
            self.adapter = torch.nn.Linear(2, 2)  # as peft leaves it, in float32
            return super().half()

    webui.patches.apply()
    for loader, dtypes in ((LOADER, ('bfloat16', 'float32', 'bfloat16')), ('Transformers', ('float16',) * 3)):
        webui.shared.args.loader, webui.shared.lora_names, webui.shared.model = loader, [], LoraModel()
        webui.LoRA.add_lora_to_model(['first'])
        model = webui.shared.model
        found = [model.weight.dtype, model.inv_freq.dtype, model.adapter.weight.dtype]
        assert found == [getattr(torch, name) for name in dtypes]
    assert '_apply' not in vars(model)
