"""Every patch of the webui, and nothing else: what is replaced, why, which versions it serves, and the way back.

A patch replaces a function of the webui by one that calls it. Modules that imported the function by value get the
replacement too. Patching again (after a restart in the Session tab) replaces our old wrapper, not wraps it once more.
`undo()` puts everything back. Where a version lacks a function, one line in the log names the feature that is missing,
and the webui starts as ever.

Seen working on v4.9.
"""

from __future__ import annotations

import functools
import sys
import threading

from modules.logging_colors import logger

from .names import (
    CHECKPOINT,
    CONTEXT_HELPER,
    FACTS,
    FORMAT,
    KERNEL,
    LOADER,
    LOADER_PARAMS,
    MODEL_SETTINGS,
    PLAINFORMAT,
    PRESET_OF,
    REFRESH,
)

_ORIGINAL = '_airoboros_gptq_original'
_replaced: list[tuple[dict, str, object]] = []  # (namespace, name, what stood there)
_routing = threading.local()


def apply() -> None:
    """Patches the webui that is running. With --nowebui its page modules are not there, and nor are those patches."""
    _add_loader()
    for module, name, make, feature in (
        ('modules.models_settings', 'infer_loader', _infer_loader, 'choosing the loader by itself'),
        ('modules.models_settings', 'get_model_metadata', _get_model_metadata, 'template and checkpoint by themselves'),
        ('modules.models', 'transformers_loader', _transformers_loader, 'loading GPTQ models'),
        ('modules.models', 'load_model', _load_model, 'loading GPTQ models'),
    ):
        _patch(module, name, make, feature)
    if 'modules.ui_model_menu' not in sys.modules:
        return
    for module, name, make, feature in (
        ('modules.models_settings', 'save_model_settings', _save_model_settings, 'saving settings of GPTQ models'),
        ('modules.ui', 'list_interface_input_elements', _list_interface_input_elements, 'the PLAINFORMAT box'),
        ('modules.ui', 'apply_interface_values', _apply_interface_values, 'a PLAINFORMAT box per browser'),
        ('modules.ui_model_menu', 'create_ui', _model_create_ui, 'checkpoint, kernel and format in the Model tab'),
        ('modules.ui_model_menu', 'create_event_handlers', _model_create_event_handlers, 'facts in the Model tab'),
        ('modules.ui_model_menu', 'load_model_wrapper', _load_model_wrapper, 'errors in one sentence'),
        ('modules.ui_chat', 'create_ui', _chat_create_ui, 'the PLAINFORMAT box'),
        ('modules.chat', 'chatbot_wrapper', _chatbot_wrapper, 'PLAINFORMAT when an answer is regenerated'),
        ('modules.html_generator', 'chat_html_wrapper', _chat_html_wrapper, 'bare code shown as code'),
    ):
        _patch(module, name, make, feature)


def undo() -> None:
    """Puts back everything that apply() replaced, and takes our loader out of the webui's lists."""
    while _replaced:
        namespace, name, original = _replaced.pop()
        namespace[name] = original
    from modules import loaders, shared

    loaders.loaders_and_params.pop(LOADER, None)
    loaders.loaders_samplers.pop(LOADER, None)
    _clear_caches(loaders)
    for namespace in (shared.args, shared.original_args, shared.args_defaults):
        for key in MODEL_SETTINGS:
            vars(namespace).pop(key, None)


def _patch(module: str, name: str, make, feature: str) -> None:
    holder = sys.modules.get(module)
    standing = getattr(holder, name, None)
    if standing is None:
        logger.warning(f'airoboros_gptq: this webui has no {module}.{name}, so {feature} is missing.')
        return
    original = getattr(standing, _ORIGINAL, standing)
    wrapper = functools.wraps(original)(make(original))
    del wrapper.__wrapped__  # gradio is to see the wrapper's own parameters
    setattr(wrapper, _ORIGINAL, original)
    for namespace in _namespaces():
        for key, value in list(namespace.items()):
            if value is standing:
                _replaced.append((namespace, key, original))
                namespace[key] = wrapper


def _namespaces():
    """Of the webui's own modules and of extensions: where a function of the webui may stand by value."""
    for name, module in list(sys.modules.items()):
        if (
            name == '__main__'
            or name.split('.')[0] in ('modules', 'extensions', 'server')
            or name.startswith('user_ext_')
        ):
            yield vars(module)


# The loader itself. loaders_and_params fills the loader's menu and says which settings it shows; the two functions
# cache what they read of it. All versions; list_model_elements stands in modules.ui before v4.1.


def _add_loader() -> None:
    from modules import loaders, shared

    loaders.loaders_and_params[LOADER] = list(LOADER_PARAMS)
    loaders.loaders_samplers[LOADER] = set(loaders.loaders_samplers['Transformers'])
    _clear_caches(loaders)
    elements = loaders.list_model_elements()
    elements.extend(key for key in MODEL_SETTINGS if key not in elements)
    for namespace in (shared.args, shared.original_args, shared.args_defaults):
        for key, default in MODEL_SETTINGS.items():
            if not hasattr(namespace, key):
                setattr(namespace, key, default)


def _clear_caches(loaders) -> None:
    for cached in (loaders.get_all_params, loaders.list_all_samplers, loaders.list_model_elements):
        if hasattr(cached, 'cache_clear'):
            cached.cache_clear()


def _infer_loader(original):
    """Called at the pick. The webui would take Transformers, which reads random weights out of a GPTQ folder."""

    def infer_loader(model_name, *args, **kwargs):
        from . import loading

        inferred = original(model_name, *args, **kwargs)
        return LOADER if inferred == 'Transformers' and loading.is_ours(model_name) else inferred

    return infer_loader


def _get_model_metadata(original):
    """What the webui knows of a model. Adds our settings, and the Airoboros template where nobody chose another."""

    def get_model_metadata(model):
        from . import settings

        metadata = original(model)
        if metadata.get('loader') == LOADER:
            settings.describe(model, metadata)
        return metadata

    return get_model_metadata


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
            return original(model_name, 'Transformers')
        finally:
            _routing.ours = False
            shared.args.loader = LOADER

    return load_model


def _transformers_loader(original):
    """The function that load_model's table holds for Transformers; see _load_model."""

    def transformers_loader(model_name):
        if not getattr(_routing, 'ours', False):
            return original(model_name)
        from . import loading

        return loading.load(model_name)

    return transformers_loader


def _save_model_settings(original):
    """The webui would write `loader: airoboros-GPTQ`, on which a webui that starts with --model, or without us, dies."""

    def save_model_settings(model, state):
        if model == 'None' or state.get('loader') != LOADER:
            yield from original(model, state)
            return
        from . import settings

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

        _create(model_tab.create, (CHECKPOINT, KERNEL, FORMAT, FACTS, REFRESH, PRESET_OF))

    return create_ui


def _chat_create_ui(original):
    """The PLAINFORMAT box stands under the message box, which create_ui makes; the helper among the chat's controls."""

    def create_ui():
        original()
        from . import chat_tab

        _create(chat_tab.create, (PLAINFORMAT,))
        _create(chat_tab.create_helper, (CONTEXT_HELPER,))

    return create_ui


def _create(make, keys) -> None:
    """Makes components. Should it fail, invisible ones stand in: the webui looks all of them up by name."""
    try:
        make()
    except Exception:
        import gradio as gr
        from modules import shared

        logger.exception('airoboros_gptq: its part of the page could not be made.')
        for key in keys:
            if key not in shared.gradio:
                shared.gradio[key] = gr.State(MODEL_SETTINGS.get(key))


def _model_create_event_handlers(original):
    """Handlers must be made inside the page, after all of its components."""

    def create_event_handlers():
        original()
        from . import model_tab

        try:
            model_tab.create_events()
        except Exception:
            logger.exception('airoboros_gptq: its events in the Model tab could not be made.')

    return create_event_handlers


def _load_model_wrapper(original):
    """What Load and the pick write into the status line: our one sentence in place of 'Failed to load'."""
    import gradio as gr

    def load_model_wrapper(selected_model, loader, progress=gr.Progress(), autoload=False):  # noqa: B008 (gradio reads it)
        if loader != LOADER:
            yield from original(selected_model, loader, autoload=autoload)
            return
        from . import loading

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
        from . import chat_tab, loading

        if not regenerate or state.get('_tool_turn') or not loading.is_loaded():
            yield from original(text, state, regenerate, *args, **kwargs)
            return
        was_plain = chat_tab.last_is_plain(state['history'])
        for output in original(text, chat_tab.regenerating(state), regenerate, *args, **kwargs):
            chat_tab.mark_versions(output, was_plain)
            yield output

    return chatbot_wrapper


def _chat_html_wrapper(original):
    """Draws the chat. Markdown would eat the indentation, underscores and # of an answer that is bare code."""

    def chat_html_wrapper(history, *args, **kwargs):
        from . import chat_tab

        return original(chat_tab.for_display(history), *args, **kwargs)

    return chat_html_wrapper
