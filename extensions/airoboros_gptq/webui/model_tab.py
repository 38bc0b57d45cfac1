"""The Model tab: checkpoint, kernel and format under the menu of loaders, and a panel with what was read of the folder."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules import models_settings, shared, ui
from modules.utils import gradio

from ..airoboros.conversation import PRESET_NAME
from ..errors import GPTQError
from ..names import (
    ALWAYS_PLAINFORMAT,
    CHECKPOINT,
    CONTEXT_HELPER,
    EXTENSION,
    FACTS,
    FORMAT,
    KERNEL,
    MESSAGE_FOOTER,
    MODEL_SETTINGS,
    MODEL_STATUS,
    PLAINFORMAT,
    PLAINFORMAT_DEFAULT,
    PLAINFORMAT_NOTEBOOK,
    PRESET_MODEL,
    REFRESH_FACTS,
    STATUS_LINE,
    UNREADABLE_MODEL,
)
from ..ui import controls, html
from . import chat_tab, model_settings, notebook_tab, versions
from .gradio_layout import insert_after, on_page_load, reopen
from .loader import gptq_loader

COMPONENTS = (*(CHECKPOINT, KERNEL, FORMAT, ALWAYS_PLAINFORMAT, FACTS, REFRESH_FACTS, PRESET_MODEL, UNREADABLE_MODEL),)
_ALWAYS = 'always_offer_plainformat'  # in script.py's params
# Components that depend on the loaded model, in the order of _visibility().
_MODEL_DEPENDENT = (
    *(PLAINFORMAT, PLAINFORMAT_NOTEBOOK, PLAINFORMAT_DEFAULT, CONTEXT_HELPER, MESSAGE_FOOTER, STATUS_LINE),
)

# When the webui's message about the model changes the page clicks a hidden button. Progress is rendered beside the message.
_REFRESH_AFTER_STATUS = f"""() => {{
    const status = document.getElementById('{MODEL_STATUS}');
    const read = () => (status.querySelector('.prose') ?? status).textContent;
    let before = status && read();
    const refresh = () => {{
        if (before === read()) return;
        before = read();
        document.getElementById('{REFRESH_FACTS}')?.click();
    }};
    if (status) new MutationObserver(refresh).observe(status, {{childList: true, subtree: true, characterData: true}});
    return [];
}}"""


def create() -> None:
    """Adds the components to shared.gradio: the checkpoint and the panel below the webui's `loader` dropdown, the others
    among the webui's options.
    """
    with reopen(shared.gradio['loader'].parent):
        shared.gradio[CHECKPOINT] = controls.checkpoint_dropdown(visible=False)
    with reopen(versions.options_column()):
        shared.gradio[KERNEL] = controls.kernel_dropdown(visible=False)
        shared.gradio[FORMAT] = controls.format_dropdown(visible=False)
        shared.gradio[ALWAYS_PLAINFORMAT] = controls.always_plainformat_box(
            value=bool(gptq_loader.settings.get(_ALWAYS)), visible=False, interactive=not shared.args.multi_user
        )
    shared.gradio['model_status'].elem_id = MODEL_STATUS  # the webui gives it none
    with insert_after(shared.gradio['loader'].parent):
        shared.gradio[FACTS] = controls.facts_box(visible=False)
        shared.gradio[REFRESH_FACTS] = gr.Button(visible=False, elem_id=REFRESH_FACTS)
        shared.gradio[PRESET_MODEL] = gr.State(
            None
        )  # the model that the preset was set for; None until the page is open
        shared.gradio[UNREADABLE_MODEL] = gr.State(None)  # the picked model, if its folder could not be read


def create_events() -> None:
    """Updates them when a model is picked, a checkpoint, kernel or format is chosen, or the message about the model changes."""
    notebook_tab.create_events()
    if not shared.args.multi_user:
        shared.gradio['model_menu'].change(
            _on_pick, gradio('model_menu'), gradio(CHECKPOINT, FACTS, UNREADABLE_MODEL), show_progress=False
        )
        for key in MODEL_SETTINGS:
            shared.gradio[key].input(_facts, gradio('model_menu', *MODEL_SETTINGS), gradio(FACTS), show_progress=False)
        on_page_load(_REFRESH_AFTER_STATUS)
        shared.gradio[REFRESH_FACTS].click(
            _on_status,
            gradio('model_menu', *MODEL_SETTINGS, PRESET_MODEL, UNREADABLE_MODEL),
            gradio(FACTS, *_MODEL_DEPENDENT, 'preset_menu', PRESET_MODEL, UNREADABLE_MODEL, *_pick_settings()),
            show_progress=False,
            trigger_mode='always_last',  # a click during the previous one must not be lost
        )
        shared.gradio[ALWAYS_PLAINFORMAT].input(
            _set_always, gradio(ALWAYS_PLAINFORMAT), gradio(*_MODEL_DEPENDENT), show_progress=False
        )
    shared.gradio['interface'].load(
        _on_page_load,
        None,
        gradio(CHECKPOINT, FACTS, ALWAYS_PLAINFORMAT, *_MODEL_DEPENDENT, PRESET_MODEL),
        show_progress=False,
    )


def _on_pick(model_name):
    """Values of CHECKPOINT, FACTS and UNREADABLE_MODEL."""
    if not gptq_loader.is_gptq(model_name):
        return gr.update(choices=[], value=''), '', model_name
    try:
        default = gptq_loader.summary(model_name)
    except GPTQError as e:
        return _checkpoint_menu(gptq_loader.checkpoints(model_name), ''), html.error_html(str(e)), model_name
    saved = models_settings.get_model_metadata(model_name)
    checkpoint = saved.get(CHECKPOINT) or default.checkpoint.name
    menu = _checkpoint_menu(default.candidates, checkpoint)
    return menu, _facts(model_name, checkpoint, saved.get(KERNEL), saved.get(FORMAT)), None


def _checkpoint_menu(choices: list[str], chosen: str) -> dict[str, Any]:
    return gr.update(choices=choices, value=chosen, interactive=len(choices) > 1)


def _facts(model_name, checkpoint, kernel='auto', checkpoint_format='auto') -> str:
    """The panel's HTML; '' for a model that is not GPTQ."""
    if not gptq_loader.is_gptq(model_name):
        return ''
    try:
        summary = gptq_loader.summary(model_name, checkpoint, checkpoint_format, kernel or 'auto')
    except GPTQError as e:
        return html.error_html(str(e))
    return html.facts_html(summary, gptq_loader.running_as(summary))


def _on_status(model_name, checkpoint, kernel, checkpoint_format, preset_model, unreadable):
    """Values after a load, an unload or a download, in the order of the event's outputs."""
    facts, settings = None, [gr.update() for _ in _pick_settings()]
    if unreadable == model_name:
        menu, facts, unreadable = _on_pick(model_name)
        if unreadable is None:  # it has been downloaded since: set everything that a pick would set now
            settings, preset_model = _settings_of(model_name, menu), ''
    if facts is None or unreadable:
        facts = _facts(model_name, checkpoint, kernel, checkpoint_format)
    preset = gr.update(), preset_model
    if preset_model not in (None, model_name):
        preset = _preset_update(model_name), model_name
    return facts, *_visibility(), *preset, unreadable, *settings


def _pick_settings() -> list[str]:
    """The keys of what a pick may set: settings that the webui saves with a model, its template and its context length."""
    return [key for key in ui.list_interface_input_elements() if key not in (*_MODEL_DEPENDENT, 'preset_menu')]


def _settings_of(model_name, menu) -> list[Any]:
    """Values of _pick_settings(), as the webui's own handler of a pick sets them."""
    updates = {key: gr.update(value=value) for key, value in models_settings.get_model_metadata(model_name).items()}
    updates[CHECKPOINT] = menu
    return [updates.get(key, gr.update()) for key in _pick_settings()]


def _preset_update(model_name):
    """The Airoboros preset, set once for each pick and after the webui's own handlers of it: a preset that is set while they
    run makes the webui gather a half-changed page, and the Airoboros gets the previous model's context length.
    """
    airoboros = gptq_loader.is_gptq(model_name) and gptq_loader.airoboros_of(model_name)
    return gr.update(value=PRESET_NAME) if airoboros and _has_preset() else gr.update()


def _on_page_load():
    """Values for a page that opens, in the order of the event's outputs. The webui sets checkpoint, kernel and format, as
    model_settings.of_loaded() has them.
    """
    name, always = shared.model_name, bool(gptq_loader.settings.get(_ALWAYS))
    if not gptq_loader.is_active():
        return gr.update(), '', always, *_visibility(), ''
    settings = model_settings.of_loaded()
    choices = gptq_loader.checkpoints(name)
    menu = gr.update(choices=choices, interactive=len(choices) > 1 and not shared.args.multi_user)
    facts = _facts(name, *(settings[key] for key in MODEL_SETTINGS))
    return menu, facts, always, *_visibility(), name


def _visibility() -> tuple[Any, ...]:
    """Values of _MODEL_DEPENDENT for the model that is loaded."""
    box = gr.update(visible=chat_tab.offers_plainformat())
    return (
        box,
        box,
        box,
        gr.update(visible=gptq_loader.airoboros() is not None),
        gr.update(visible=gptq_loader.is_loaded()),
        chat_tab.status_line(),
    )


def _set_always(value: bool):
    """Stores the setting for "Save extensions settings": in `params`, which it writes to settings.yaml, and in what was read
    from settings.yaml, which it would write again where the box is back at its default.
    """
    gptq_loader.settings[_ALWAYS] = shared.settings[f'{EXTENSION}-{_ALWAYS}'] = value
    return _visibility()


def _has_preset() -> bool:
    return any((folder / 'presets' / f'{PRESET_NAME}.yaml').is_file() for folder in versions.data_folders())
