"""Every patch of the webui, and nothing else: what is replaced, why, which versions it serves, and the way back.

How one is put in and taken out is patching.py's. `undo()` puts everything back. Where a version lacks a function, one
line in the log names the feature that is missing, and the webui starts as ever.

Seen working on v4.9, v4.7.3, v4.0, v3.23, v3.12, v3.3, v2.2 and v1.16; what differs between them is versions.py's to know.
"""

from __future__ import annotations

import importlib
import sys
import threading

from ..names import (
    ALWAYS_PLAINFORMAT,
    BELOW_MESSAGE,
    CHECKPOINT,
    CONTEXT_HELPER,
    EXTENSION,
    FACTS,
    FORMAT,
    GLANCE,
    IDS_ON_CPU,
    KERNEL,
    LOADER,
    LOADER_PARAMS,
    LOOK,
    MODEL_SETTINGS,
    OURS,
    PLAINFORMAT,
    PLAINFORMAT_DEFAULT,
    PLAINFORMAT_NOTEBOOK,
    PRESET_OF,
    REFRESH,
    TAKEN_FOR_TRANSFORMERS,
    UNREADABLE,
)
from . import patcher as patching
from . import versions
from .gradio_layout import create_events, create_or_stand_in
from .patcher import patch, switch_on

_routing = threading.local()


def apply() -> None:
    """Patches the webui that is running. With --nowebui its page modules are not there, and nor are those patches."""
    _add_loader()
    switch_on()
    elements = versions.home_of_model_elements()
    for module, name, make, feature in (
        ('modules.models_settings', 'infer_loader', _infer_loader, 'choosing the loader by itself'),
        ('modules.models_settings', 'get_model_metadata', _get_model_metadata, 'template and checkpoint by themselves'),
        ('modules.models', versions.transformers_loader(), _transformers_loader, 'loading GPTQ models'),
        ('modules.models', 'load_model', _load_model, 'loading GPTQ models'),
        ('modules.LoRA', 'merge_loras', _merge_loras, 'several LoRAs at once'),
        ('modules.text_generation', 'get_reply_from_output_ids', _get_reply_from_output_ids, 'the full speed of a GPU'),
        (elements, 'list_model_elements', _list_model_elements, 'keeping checkpoint, kernel and format'),
    ):
        patch(module, name, make, feature)
    if versions.cue_is_guessed():
        patch('modules.chat', 'get_generation_prompt', _get_generation_prompt, 'the prompt as it was trained')
    if 'modules.ui_model_menu' not in sys.modules:
        return
    for module, name, make, feature in (
        ('modules.models_settings', 'save_model_settings', _save_model_settings, 'saving settings of GPTQ models'),
        ('modules.ui', 'list_interface_input_elements', _list_interface_input_elements, 'the PLAINFORMAT box'),
        ('modules.ui', 'apply_interface_values', _apply_interface_values, 'a PLAINFORMAT box per browser'),
        ('modules.ui_model_menu', 'create_ui', _model_create_ui, 'checkpoint, kernel and format in the Model tab'),
        ('modules.ui_model_menu', 'create_event_handlers', _events('model_tab'), 'facts in the Model tab'),
        ('modules.ui_model_menu', 'load_model_wrapper', _load_model_wrapper, 'errors in one sentence'),
        ('modules.ui_chat', 'create_ui', _chat_create_ui, 'the PLAINFORMAT box'),
        ('modules.ui_chat', 'create_event_handlers', _events('chat_tab'), 'tokens/s in the Chat tab'),
        ('modules.ui_notebook', 'create_ui', _box(PLAINFORMAT_NOTEBOOK), 'the PLAINFORMAT box in the Notebook tab'),
        ('modules.ui_default', 'create_ui', _box(PLAINFORMAT_DEFAULT), 'the PLAINFORMAT box in the Default tab'),
        ('modules.chat', 'chatbot_wrapper', _chatbot_wrapper, 'PLAINFORMAT when an answer is regenerated'),
        ('modules.chat', 'generate_chat_prompt', _generate_chat_prompt, 'Continue and attachments as trained'),
        ('modules.chat', 'handle_edit_message_click', _handle_edit_message_click, 'PLAINFORMAT of an edited question'),
        ('modules.html_generator', 'chat_html_wrapper', _chat_html_wrapper, 'bare code shown as code'),
        ('modules.ui_session', 'set_interface_arguments', _set_interface_arguments, 'leaving when it is disabled'),
    ):
        patch(module, name, make, feature)


def undo() -> None:
    """Puts back everything that apply() replaced, and takes our loader out of the webui's lists."""
    from modules import loaders

    patching.undo()
    for kind in _streams():
        if IDS_ON_CPU in vars(kind):
            delattr(kind, IDS_ON_CPU)
    loaders.loaders_and_params.pop(LOADER, None)
    loaders.loaders_samplers.pop(LOADER, None)
    _clear_caches(loaders)
    for namespace in versions.argument_namespaces():
        for key in MODEL_SETTINGS:
            vars(namespace).pop(key, None)


# The loader itself. loaders_and_params fills the loader's menu and says which settings it shows; two functions cache what
# they read of it. All versions.


def _add_loader() -> None:
    from modules import loaders

    theirs = loaders.loaders_and_params['Transformers']
    loaders.loaders_and_params[LOADER] = [k for k in LOADER_PARAMS if k.startswith(OURS) or k in theirs]
    loaders.loaders_samplers[LOADER] = set(loaders.loaders_samplers['Transformers'])
    _clear_caches(loaders)
    for namespace in versions.argument_namespaces():
        for key, default in MODEL_SETTINGS.items():
            if not hasattr(namespace, key):
                setattr(namespace, key, default)


def _clear_caches(loaders) -> None:
    for name in ('get_all_params', 'list_all_samplers', 'list_model_elements'):
        clear = getattr(getattr(loaders, name, None), 'cache_clear', None)
        if clear:
            clear()


def _list_model_elements(original):
    """Names the settings of the Model tab that are kept with a model: adds ours."""

    def list_model_elements():
        elements = original()
        return [*elements, *(key for key in MODEL_SETTINGS if key not in elements)]

    return list_model_elements


def _infer_loader(original):
    """Called at the pick. The webui would take Transformers, which reads random weights out of a GPTQ folder, and before
    v4.0 a loader of its own that needs a GPU, and a package compiled for it.
    """

    def infer_loader(model_name, *args, **kwargs):
        from . import loader as loading

        inferred = original(model_name, *args, **kwargs)
        return LOADER if inferred in versions.OTHERS_FOR_GPTQ and loading.is_ours(model_name) else inferred

    return infer_loader


def _get_model_metadata(original):
    """What the webui knows of a model. Adds our settings, and the Airoboros template where nobody chose another. It reads
    the folder's configs itself, and a pick dies of one that is no JSON: our panel and Load say what is wrong with it.
    """

    def get_model_metadata(model):
        from . import loader as loading
        from . import model_settings as settings

        try:
            metadata = original(model)
        except ValueError:
            if not loading.is_ours(model):
                raise
            metadata = {**original('None'), 'loader': LOADER}
        if metadata.get('loader') == LOADER:
            settings.describe(model, metadata)
        return metadata

    return get_model_metadata


def _get_generation_prompt(original):
    """What an answer begins after. Before v3.4 the webui guesses it from a template by rendering two answers in a row, and
    takes spaces off its end: "?ASSISTANT:" where the model learned "? ASSISTANT: ". The template itself knows it.
    """

    def get_generation_prompt(renderer, impersonate=False, strip_trailing_spaces=True):
        from . import loader as loading

        prefix, suffix = original(renderer, impersonate, strip_trailing_spaces)
        if impersonate or not loading.airoboros():
            return prefix, suffix
        asked = [{'role': 'user', 'content': '?'}]
        before, after = renderer(messages=asked), renderer(messages=asked, add_generation_prompt=True)
        return after.removeprefix(before) if after != before and after.startswith(before) else prefix, suffix

    return get_generation_prompt


def _load_model(original):
    """The table of loaders is local to load_model. So it is called for Transformers, which leads to us, and keeps all
    of the webui's own bookkeeping; the loader's true name is set afterwards.
    """

    def load_model(model_name, loader=None):
        from modules import models_settings, shared

        wanted = loader or shared.args.loader or models_settings.get_model_metadata(model_name)['loader']
        if wanted != LOADER:
            return original(model_name, loader)
        _routing.ours = True
        try:
            return original(model_name, TAKEN_FOR_TRANSFORMERS)
        finally:
            _routing.ours = False
            shared.args.loader = LOADER

    return load_model


def _transformers_loader(original):
    """The function that load_model's table holds for Transformers; see _load_model."""

    def transformers_loader(model_name):
        if not getattr(_routing, 'ours', False):
            return original(model_name)
        from . import loader as loading

        return loading.load(model_name)

    return transformers_loader


def _get_reply_from_output_ids(original):
    """The text of an answer's newest tokens, on another thread than the one that makes them. From v3.3 on the webui first
    waits for all that the GPU was given, which here is the next token already: every second one was waited for. Ids that
    lie on the CPU need no waiting.
    """

    def get_reply_from_output_ids(output_ids, state=None, starting_from=0):
        from modules import shared, text_generation

        from . import loader as loading

        if not loading.is_loaded() or getattr(getattr(output_ids, 'device', None), 'type', None) != 'cpu':
            return original(output_ids, state, starting_from)
        new = output_ids[starting_from:]
        text = text_generation.decode(new, state['skip_special_tokens'] if state else True)
        first = shared.tokenizer.convert_ids_to_tokens(int(new[0])) if len(new) else ''
        return f' {text}' if first.startswith('▁') and not text.startswith(' ') else text

    return get_reply_from_output_ids


def let_streams_have_ids_of_the_cpu() -> None:
    """The webui's Stream hands each token to the thread that shows it, which looks at it there. All versions; imported
    with torch, so it is there once a model is loaded.
    """
    for kind in _streams():
        setattr(kind, IDS_ON_CPU, True)


def _streams() -> list[type]:
    homes = [sys.modules.get(f'modules.{name}') for name in ('transformers_loader', 'callbacks')]
    return list({kind for home in homes if (kind := getattr(home, 'Stream', None)) is not None})


def _merge_loras(original):
    """Makes one of several LoRAs, by the names of those that were on before: the webui sets shared.lora_names afterwards."""

    def merge_loras():
        from modules import shared

        from . import loader as loading

        if loading.is_loaded():
            shared.lora_names = [name for name in shared.model.peft_config if name != '__merged']
        original()

    return merge_loras


def _save_model_settings(original):
    """The webui would write `loader: airoboros-GPTQ`, on which a webui that starts with --model, or without us, dies."""

    def save_model_settings(model, state):
        if model == 'None' or state.get('loader') != LOADER:
            yield from original(model, state)
            return
        from . import model_settings as settings

        yield settings.save(model, state)

    return save_model_settings


def _list_interface_input_elements(original):
    """Names the components whose values reach the handlers as `state`, per page: adds the PLAINFORMAT box."""

    def list_interface_input_elements():
        elements = original()
        return elements if PLAINFORMAT in elements else [*elements, PLAINFORMAT]

    return list_interface_input_elements


def _apply_interface_values(original):
    """A new page starts from the state that another page gathered last. The PLAINFORMAT box is not to travel so."""

    def apply_interface_values(state, use_persistent=False):
        if use_persistent:
            from modules import shared

            shared.persistent_interface_state.pop(PLAINFORMAT, None)
        return original(state, use_persistent=use_persistent)

    return apply_interface_values


def _model_create_ui(original):
    """Our components stand under the loader's menu, which create_ui makes."""

    def create_ui():
        original()
        from . import model_tab

        ours = CHECKPOINT, KERNEL, FORMAT, ALWAYS_PLAINFORMAT, FACTS, REFRESH, PRESET_OF, UNREADABLE
        create_or_stand_in(model_tab.create, ours)

    return create_ui


def _chat_create_ui(original):
    """The PLAINFORMAT box stands under the message box, which create_ui makes; the helper among the chat's controls."""

    def create_ui():
        original()
        from . import chat_tab

        create_or_stand_in(chat_tab.create, (PLAINFORMAT, BELOW_MESSAGE, GLANCE, LOOK))
        create_or_stand_in(chat_tab.create_helper, (CONTEXT_HELPER,))

    return create_ui


def _box(key: str):
    """The PLAINFORMAT box once more, below the text that create_ui makes in the Notebook and the Default tab."""

    def make(original):
        def create_ui():
            original()
            from . import notebook_tab

            create_or_stand_in(lambda: notebook_tab.create(key), (key,))

        return create_ui

    return make


def _events(tab: str):
    """Handlers must be made inside the page, after all of its components."""

    def make(original):
        def create_event_handlers():
            original()
            create_events(importlib.import_module(f'.{tab}', __package__).create_events, tab)

        return create_event_handlers

    return make


def _load_model_wrapper(original):
    """What Load and the pick write into the status line: our one sentence in place of 'Failed to load'."""
    import gradio as gr

    def load_model_wrapper(selected_model, loader, progress=gr.Progress(), autoload=False):  # noqa: B008 (gradio reads it)
        if loader != LOADER:
            yield from original(selected_model, loader, autoload=autoload)
            return
        from . import loader as loading

        loading.last_error, loading.progress = None, progress
        try:
            for message in original(selected_model, loader, autoload=autoload):
                failed = message.startswith(('Failed to load', 'Traceback'))
                yield loading.last_error if failed and loading.last_error else message
        finally:
            loading.progress = None

    return load_model_wrapper


def _chatbot_wrapper(original):
    """Regenerate takes the kept instruction; it is to obey the PLAINFORMAT box as it stands now."""

    def chatbot_wrapper(text, state, regenerate=False, *args, **kwargs):
        from . import chat_tab
        from . import loader as loading

        if not regenerate or state.get('_tool_turn') or not loading.answers_next():
            yield from original(text, state, regenerate, *args, **kwargs)
            return
        was_plain = chat_tab.last_is_plain(state['history'])
        for output in original(text, chat_tab.regenerating(state), regenerate, *args, **kwargs):
            chat_tab.mark_versions(output, was_plain)
            yield output

    return chatbot_wrapper


def _generate_chat_prompt(original):
    """The prompt of a conversation. The webui puts attachments after PLAINFORMAT, and an answer that is continued (or
    begun by "Start reply with") right after the cue.
    """

    def generate_chat_prompt(user_input, state, **kwargs):
        from . import chat_prompt

        return chat_prompt.generate(original, user_input, state, **kwargs)

    return generate_chat_prompt


def _handle_edit_message_click(original):
    """The webui (since v3.4) stores an edited question as it was typed: without the PLAINFORMAT of its answer."""

    def handle_edit_message_click(state):
        from . import chat_tab

        return chat_tab.edit_message(original, state)

    return handle_edit_message_click


def _chat_html_wrapper(original):
    """Draws the chat. Markdown would eat the indentation, underscores and # of an answer that is bare code."""

    def chat_html_wrapper(history, *args, **kwargs):
        from . import chat_tab

        return original(chat_tab.for_display(history), *args, **kwargs)

    return chat_html_wrapper


def _set_interface_arguments(original):
    """Session > Apply. The webui says nothing to an extension that was unticked, and its patches would stay."""

    def set_interface_arguments(extensions, bool_active):
        if EXTENSION not in (extensions or ()):
            from . import disable as leaving

            leaving.leave()
        return original(extensions, bool_active)

    return set_interface_arguments
