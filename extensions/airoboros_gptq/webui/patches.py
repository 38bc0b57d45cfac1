"""Every function of the webui that this extension replaces: why, for which versions, and how it is restored.

Each function below takes the webui's original and returns the replacement; what it adds stands in the module of its tab.
patcher.py installs and restores them, loader_menu.py adds the loader to the webui's tables. `undo()` restores everything.
A version that lacks a function loses one feature, which one line in the log names.

Run on v4.9, v4.7.3, v4.0, v3.23, v3.12, v3.3, v2.2 and v1.16; versions.py has the differences between them. Patches without
a version in their docstring serve all of them.
"""

from __future__ import annotations

import threading
from functools import partial

from ..names import (
    EXTENSION,
    LOADER,
    MODEL_SETTINGS,
    PLAINFORMAT,
    PLAINFORMAT_DEFAULT,
    PLAINFORMAT_NOTEBOOK,
    TRANSFORMERS_ALIAS,
)
from . import api, disable, loader_menu, reply_guard, token_stream, versions
from .gradio_layout import create_events, create_or_hide
from .loader import gptq_loader
from .lora_dtype import kept_in_dtype
from .patcher import Patcher, Wrap

_patcher = Patcher()
_replaces = _patcher.replaces
_replaces_on_page = partial(_replaces, when=versions.has_page)
_load = threading.local()  # .is_gptq: whether load_model, on this thread, is loading for airoboros-GPTQ


def apply() -> None:
    """Patches the running webui."""
    loader_menu.add()
    _patcher.install()
    api.report_failed_loads()


def undo() -> None:
    """Restores everything that apply() and a load have changed in the webui."""
    _patcher.undo()
    api.undo()
    token_stream.undo()
    loader_menu.remove()


# Picking and loading a model


@_replaces(versions.model_elements_module, 'list_model_elements', 'saving checkpoint, kernel and format')
def _list_model_elements(original):
    """Lists the settings of the Model tab that are saved with a model: adds this loader's."""

    def list_model_elements():
        elements = original()
        return [*elements, *(key for key in MODEL_SETTINGS if key not in elements)]

    return list_model_elements


@_replaces('modules.models_settings', 'infer_loader', 'choosing the loader automatically')
def _infer_loader(original):
    """Chooses the loader at a pick. The webui would choose Transformers, which initialises a GPTQ folder with random weights,
    and before v4.0 a loader that needs a GPU and a compiled package.
    """

    def infer_loader(model_name, *args, **kwargs):
        inferred = original(model_name, *args, **kwargs)
        return LOADER if inferred in versions.INFERRED_FOR_GPTQ and gptq_loader.is_gptq(model_name) else inferred

    return infer_loader


@_replaces('modules.models_settings', 'get_model_metadata', 'choosing template and checkpoint automatically')
def _get_model_metadata(original):
    """The settings of a model. Adds this loader's, and the Airoboros template where the user has chosen none. The webui's
    own reading of the configs raises on invalid JSON; the panel and Load say what is wrong with it.
    """

    def get_model_metadata(model):
        from . import model_settings

        try:
            metadata = original(model)
        except ValueError:
            if not gptq_loader.is_gptq(model):
                raise
            metadata = {**original('None'), 'loader': LOADER}
        if metadata.get('loader') == LOADER:
            model_settings.complete(model, metadata)
        return metadata

    return get_model_metadata


@_replaces('modules.models', versions.transformers_loader, 'loading GPTQ models')
def _transformers_loader(original):
    """The function that load_model calls for Transformers; see _load_model."""

    def transformers_loader(model_name):
        return gptq_loader.load(model_name) if getattr(_load, 'is_gptq', False) else original(model_name)

    return transformers_loader


@_replaces('modules.models', 'load_model', 'loading GPTQ models')
def _load_model(original):
    """The table of loaders is a local variable of load_model. So it is called with Transformers, whose function is replaced,
    and does all of its own bookkeeping; afterwards the loader's real name is set.
    """

    def load_model(model_name, loader=None):
        from modules import models_settings, shared

        wanted = loader or shared.args.loader or models_settings.get_model_metadata(model_name)['loader']
        if wanted != LOADER:
            return original(model_name, loader)
        is_new = shared.model_name != model_name  # else it was unloaded after --idle-timeout
        _load.is_gptq = True
        try:
            return original(model_name, TRANSFORMERS_ALIAS)
        finally:
            _load.is_gptq = False
            shared.args.loader = LOADER
            gptq_loader.loaded_off_page = is_new and not gptq_loader.is_loading_from_page

    return load_model


@_replaces('modules.LoRA', 'merge_loras', 'several LoRAs at once')
def _merge_loras(original):
    """Merges LoRAs by shared.lora_names, which the webui sets only afterwards: it would merge those that were on before."""

    def merge_loras():
        from modules import shared

        if gptq_loader.is_loaded():
            shared.lora_names = [name for name in shared.model.peft_config if name != '__merged']
        original()

    return merge_loras


@_replaces('modules.LoRA', 'add_lora_transformers', 'the dtype of a model with a LoRA')
def _add_lora_transformers(original):
    """The webui casts every model to float16 with its LoRA, and leaves it so when the LoRA is off; see lora_dtype.py."""

    def add_lora_transformers(lora_names):
        from modules import shared

        if not gptq_loader.is_loaded():
            return original(lora_names)
        with kept_in_dtype(shared.model):
            return original(lora_names)

    return add_lora_transformers


@_replaces_on_page('modules.models_settings', 'save_model_settings', 'saving settings of GPTQ models')
def _save_model_settings(original):
    """The webui would save `loader: airoboros-GPTQ`, with which a start with --model, or without this extension, fails."""

    def save_model_settings(model, state):
        if model == 'None' or state.get('loader') != LOADER:
            yield from original(model, state)
            return
        from . import model_settings

        yield model_settings.save(model, state)

    return save_model_settings


@_replaces_on_page(
    'modules.ui_model_menu', 'handle_load_model_event_initial', 'keeping the settings of the loaded model'
)
def _handle_load_model_event_initial(original):
    """A pick puts the settings of the picked model into shared.args, which Load does again. Until then they would be taken for
    those of the loaded model: by a page that opens, by the reload after --idle-timeout, and by all that asks for its loader.
    """

    def handle_load_model_event_initial(model, state):
        from . import model_settings

        with model_settings.kept_while_active():
            return original(model, state)

    return handle_load_model_event_initial


@_replaces_on_page('modules.ui_model_menu', 'load_model_wrapper', 'errors in one sentence')
def _load_model_wrapper(original):
    """The messages of a pick and of Load in the Model tab: the loader's sentence in place of 'Failed to load', and nothing under
    the progress of a load, which is drawn over the message.
    """
    import gradio as gr

    def load_model_wrapper(selected_model, loader, progress=gr.Progress(), autoload=False):  # noqa: B008 (gradio's way)
        if loader != LOADER:
            yield from original(selected_model, loader, autoload=autoload)
            return
        if not autoload:
            yield from original(selected_model, loader, autoload=False)
            return
        with gptq_loader.reporting_to(progress, selected_model):
            for message in original(selected_model, loader, autoload=True):
                failed = message.startswith(('Failed to load', 'Traceback'))
                if failed and gptq_loader.load_error:
                    message = gptq_loader.load_error
                yield '' if message.startswith('Loading') else message

    return load_model_wrapper


# Prompts and answers


@_replaces('modules.text_generation', 'get_reply_from_output_ids', 'the full speed of a GPU')
def _get_reply_from_output_ids(original):
    """Decodes the newest tokens, on another thread than the one that generates them. Since v3.3 the webui first waits for
    everything queued on the GPU, here the next token already, so every second token was waited for. Ids on the CPU need
    no waiting.
    """

    def get_reply_from_output_ids(output_ids, state=None, starting_from=0):
        if gptq_loader.is_loaded() and token_stream.is_on_cpu(output_ids):
            return token_stream.decode_reply(output_ids, state, starting_from)
        return original(output_ids, state, starting_from)

    return get_reply_from_output_ids


@_replaces('modules.text_generation', 'generate_reply', 'going on where nobody reads an answer')
def _generate_reply(original):
    """Generates an answer, and holds the generation lock from its first reply to its last. A reader that stops reading would
    keep the lock, and every other answer would wait.
    """

    def generate_reply(*args, **kwargs):
        replies = original(*args, **kwargs)
        yield from reply_guard.attended(replies) if gptq_loader.is_active() else replies

    return generate_reply


@_replaces('modules.text_generation', '_generate_reply', 'stopping where a client has gone')
def _generate_reply_under_lock(original):
    """The same, once the lock is held. The webui would read the prompt of a client that has gone while it waited, and would
    write an answer that is not streamed to its end.
    """

    def _generate_reply(question, state, *args, **kwargs):
        if not gptq_loader.is_loaded():
            yield from original(question, state, *args, **kwargs)
            return
        abandoned = api.abandoned(state)
        if abandoned():
            yield ''
            return
        with gptq_loader.stopping_when(abandoned):
            yield from original(question, state, *args, **kwargs)

    return _generate_reply


@_replaces(versions.api_script, 'EventSourceResponse', 'closing the stream of a client that has gone', when=api.is_on)
def _event_source_response(original):
    """What the API streams through, a class of sse-starlette. It may leave the stream of a client that has gone suspended,
    with the generation lock held; api.py has the reason.
    """

    def EventSourceResponse(*args, **kwargs):
        response_class = api.closing_response(original) if gptq_loader.is_active() else original
        return response_class(*args, **kwargs)

    return EventSourceResponse


@_replaces('modules.chat', 'get_generation_prompt', 'the prompt as trained', when=versions.guesses_generation_prompt)
def _get_generation_prompt(original):
    """What an answer begins after. Before v3.4: rendering two answers in a row the webui guesses it, and strips spaces off
    its end, "?ASSISTANT:" where the model was trained on "? ASSISTANT: ".
    """

    def get_generation_prompt(renderer, impersonate=False, strip_trailing_spaces=True):
        from . import chat_prompt

        prefix, suffix = original(renderer, impersonate, strip_trailing_spaces)
        if impersonate or not gptq_loader.airoboros():
            return prefix, suffix
        return chat_prompt.generation_prompt(renderer) or prefix, suffix

    return get_generation_prompt


@_replaces_on_page('modules.chat', 'generate_chat_prompt', 'Continue and attachments as trained')
def _generate_chat_prompt(original):
    """The prompt of a conversation. The webui puts attachments after PLAINFORMAT, and no space between the cue and an answer
    that is continued (or begun by "Start reply with").
    """

    def generate_chat_prompt(user_input, state, **kwargs):
        from . import chat_prompt

        return chat_prompt.generate(original, user_input, state, **kwargs)

    return generate_chat_prompt


@_replaces_on_page('modules.chat', 'chatbot_wrapper', 'PLAINFORMAT when an answer is regenerated')
def _chatbot_wrapper(original):
    """Regenerate sends the stored instruction; its PLAINFORMAT must follow the box as it is ticked now."""

    def chatbot_wrapper(text, state, regenerate=False, *args, **kwargs):
        from . import chat_tab

        if not regenerate or state.get('_tool_turn') or not gptq_loader.is_active():
            yield from original(text, state, regenerate, *args, **kwargs)
            return
        was_plain = chat_tab.last_is_plain(state['history'])
        for output in original(text, chat_tab.regenerating(state), regenerate, *args, **kwargs):
            chat_tab.mark_versions(output, was_plain)
            yield output

    return chatbot_wrapper


@_replaces_on_page('modules.chat', 'handle_edit_message_click', 'PLAINFORMAT of an edited question')
def _handle_edit_message_click(original):
    """Since v3.4: the webui stores an edited question as typed, without the PLAINFORMAT that its answer was made with."""

    def handle_edit_message_click(state):
        from . import chat_tab

        return chat_tab.edit_message(original, state)

    return handle_edit_message_click


@_replaces_on_page('modules.html_generator', 'chat_html_wrapper', 'bare code shown as code')
def _chat_html_wrapper(original):
    """Renders the chat. Markdown would drop the indentation, underscores and # of an answer that is bare code."""

    def chat_html_wrapper(history, *args, **kwargs):
        from . import chat_tab

        return original(chat_tab.for_display(history), *args, **kwargs)

    return chat_html_wrapper


# Components of the page


@_replaces_on_page('modules.ui', 'list_interface_input_elements', 'the PLAINFORMAT box')
def _list_interface_input_elements(original):
    """Lists the components whose values reach handlers as `state`, per page: adds the PLAINFORMAT box."""

    def list_interface_input_elements():
        elements = original()
        return elements if PLAINFORMAT in elements else [*elements, PLAINFORMAT]

    return list_interface_input_elements


@_replaces_on_page('modules.ui', 'apply_interface_values', 'the settings of the loaded model on a new page')
def _apply_interface_values(original):
    """A new page starts with the values of the page that was used last, or with the defaults; here with the settings that the
    model was loaded with, so that Save settings does not lose them. The PLAINFORMAT box starts unticked.
    """

    def apply_interface_values(state, use_persistent=False):
        if use_persistent:
            from modules import shared

            from . import model_settings

            shared.persistent_interface_state.pop(PLAINFORMAT, None)
            shared.persistent_interface_state.update(model_settings.of_loaded())
        return original(state, use_persistent=use_persistent)

    return apply_interface_values


@_replaces_on_page('modules.ui_model_menu', 'create_ui', 'checkpoint, kernel and format in the Model tab')
def _model_create_ui(original):
    """Adds the components under the menu of loaders, which create_ui creates."""

    def create_ui():
        original()
        from . import model_tab

        create_or_hide(model_tab.create, model_tab.COMPONENTS)

    return create_ui


@_replaces_on_page('modules.ui_chat', 'create_ui', 'the PLAINFORMAT box')
def _chat_create_ui(original):
    """Adds the PLAINFORMAT box under the message box, which create_ui creates, and the context helper to its controls."""

    def create_ui():
        original()
        from . import chat_tab

        create_or_hide(chat_tab.create, chat_tab.COMPONENTS)
        create_or_hide(chat_tab.create_helper, chat_tab.HELPER_COMPONENTS)

    return create_ui


def _text_create_ui(key: str) -> Wrap:
    """Adds the PLAINFORMAT box below the text of the Notebook or the Default tab, which create_ui creates."""

    def wrap(original):
        def create_ui():
            original()
            from . import notebook_tab

            create_or_hide(partial(notebook_tab.create, key), (key,))

        return create_ui

    return wrap


def _create_event_handlers(tab: str) -> Wrap:
    """Adds events of a tab: they can only be created inside the page, after all of its components."""

    def wrap(original):
        def create_event_handlers():
            original()
            from . import chat_tab, model_tab

            create_events({'chat_tab': chat_tab, 'model_tab': model_tab}[tab].create_events, tab)

        return create_event_handlers

    return wrap


for _module, _key, _tab in (
    ('modules.ui_notebook', PLAINFORMAT_NOTEBOOK, 'Notebook'),
    ('modules.ui_default', PLAINFORMAT_DEFAULT, 'Default'),
):
    _replaces_on_page(_module, 'create_ui', f'the PLAINFORMAT box in the {_tab} tab')(_text_create_ui(_key))
for _module, _tab, _feature in (
    ('modules.ui_model_menu', 'model_tab', 'facts in the Model tab'),
    ('modules.ui_chat', 'chat_tab', 'tokens/s in the Chat tab'),
):
    _replaces_on_page(_module, 'create_event_handlers', _feature)(_create_event_handlers(_tab))


# The Session tab


@_replaces_on_page('modules.ui_session', 'set_interface_arguments', 'removing the patches when it is unticked')
def _set_interface_arguments(original):
    """Session > Apply. The webui does not tell an extension that it was unticked, and the patches would stay."""

    def set_interface_arguments(extensions, bool_active):
        if EXTENSION not in (extensions or ()):
            disable.disable(undo)
        return original(extensions, bool_active)

    return set_interface_arguments
