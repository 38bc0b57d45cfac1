"""Our part of the Model tab: checkpoint, kernel, format and facts under the loader's menu, filled at the pick."""

from __future__ import annotations

import gradio as gr
from modules import models_settings, shared, ui
from modules.utils import gradio

from ..airoboros.conversation import PRESET_NAME
from ..errors import GPTQError
from ..names import (
    ALWAYS_PLAINFORMAT,
    BELOW_MESSAGE,
    CHECKPOINT,
    CONTEXT_HELPER,
    EXTENSION,
    FACTS,
    FORMAT,
    GLANCE,
    KERNEL,
    PLAINFORMAT,
    PLAINFORMAT_DEFAULT,
    PLAINFORMAT_NOTEBOOK,
    PRESET_OF,
    REFRESH,
    STATUS,
    UNREADABLE,
)
from ..ui import controls
from ..ui import html as view
from . import chat_tab, notebook_tab, versions
from . import loader as loading
from .gradio_layout import below, inside, watch

_ALWAYS = 'always_offer_plainformat'  # in script.py's params
_OFFERED = (PLAINFORMAT, PLAINFORMAT_NOTEBOOK, PLAINFORMAT_DEFAULT, CONTEXT_HELPER, BELOW_MESSAGE, GLANCE)

# The page itself sees that the status line has changed, and presses a hidden button. Progress is drawn beside the line.
_PRESS_IF_CHANGED = f"""() => {{
    const line = document.getElementById('{STATUS}');
    const read = () => (line.querySelector('.prose') ?? line).textContent;
    let before = line && read();
    const look = () => {{
        if (before === read()) return;
        before = read();
        document.getElementById('{REFRESH}')?.click();
    }};
    if (line) new MutationObserver(look).observe(line, {{childList: true, subtree: true, characterData: true}});
    return [];
}}"""


def create() -> None:
    """Adds the components to shared.gradio, below the webui's `loader` dropdown."""
    with inside(shared.gradio['loader'].parent):
        shared.gradio[CHECKPOINT] = controls.checkpoint_dropdown(visible=False)
        shared.gradio[KERNEL] = controls.kernel_dropdown(visible=False)
        shared.gradio[FORMAT] = controls.format_dropdown(visible=False)
        shared.gradio[ALWAYS_PLAINFORMAT] = controls.always_plainformat_box(
            value=bool(loading.params.get(_ALWAYS)), visible=False, interactive=not shared.args.multi_user
        )
    shared.gradio['model_status'].elem_id = STATUS  # it has none
    with below(shared.gradio['loader'].parent):
        shared.gradio[FACTS] = controls.facts_box(visible=False)
        shared.gradio[REFRESH] = gr.Button(visible=False, elem_id=REFRESH)
        shared.gradio[PRESET_OF] = gr.State(None)  # the model that it was set for; None until the page is open
        shared.gradio[UNREADABLE] = gr.State(None)  # the model, if its folder could not be read when it was picked


def create_events() -> None:
    """Fills them when a model is picked, a checkpoint or format is chosen, or the status line says that something changed."""
    notebook_tab.create_events()
    if not shared.args.multi_user:
        shared.gradio['model_menu'].change(
            _picked, gradio('model_menu'), gradio(CHECKPOINT, FACTS, UNREADABLE), show_progress=False
        )
        for key in (CHECKPOINT, FORMAT):
            shared.gradio[key].input(
                _show_facts, gradio('model_menu', CHECKPOINT, FORMAT), gradio(FACTS), show_progress=False
            )
        watch(_PRESS_IF_CHANGED)
        shared.gradio[REFRESH].click(
            _status_changed,
            gradio('model_menu', CHECKPOINT, PRESET_OF, UNREADABLE, FORMAT),
            gradio(FACTS, *_OFFERED, 'preset_menu', PRESET_OF, UNREADABLE, *_settings()),
            show_progress=False,
            trigger_mode='always_last',  # or a line that comes while the one before is being answered is lost
        )
        shared.gradio[ALWAYS_PLAINFORMAT].input(
            _set_always, gradio(ALWAYS_PLAINFORMAT), gradio(*_OFFERED), show_progress=False
        )
    shared.gradio['interface'].load(
        _page_opened,
        None,
        gradio(CHECKPOINT, FACTS, *_OFFERED, PRESET_OF),
        show_progress=False,
    )


def _picked(model_name):
    """The menu of checkpoints, the facts, and the model's name if its folder cannot be read."""
    if not loading.is_ours(model_name):
        return gr.update(choices=[], value=''), '', model_name
    try:
        default = loading.facts(model_name)
    except GPTQError as e:
        return _menu(loading.checkpoints(model_name), ''), view.error_html(str(e)), model_name
    saved = models_settings.get_model_metadata(model_name)
    chosen = saved.get(CHECKPOINT) or default.checkpoint.name
    return _menu(default.candidates, chosen), _show_facts(model_name, chosen, saved.get(FORMAT)), None


def _menu(choices: list[str], chosen: str):
    return gr.update(choices=choices, value=chosen, interactive=len(choices) > 1)


def _show_facts(model_name, checkpoint, checkpoint_format='auto'):
    if not loading.is_ours(model_name):
        return ''
    try:
        facts = loading.facts(model_name, checkpoint, checkpoint_format)
    except GPTQError as e:
        return view.error_html(str(e))
    return view.facts_html(facts, loading.running(facts))


def _status_changed(model_name, checkpoint, preset_of, unreadable, checkpoint_format='auto'):
    facts, settings = None, [gr.update() for _ in _settings()]
    if unreadable == model_name:
        menu, facts, unreadable = _picked(model_name)
        if unreadable is None:  # it was downloaded since: all that a pick would set now
            settings, preset_of = _settings_of(model_name, menu), ''
    if facts is None or unreadable:
        facts = _show_facts(model_name, checkpoint, checkpoint_format)
    preset = gr.update(), preset_of
    if preset_of not in (None, model_name):
        preset = _preset_for(model_name), model_name
    return facts, *_offered(), *preset, unreadable, *settings


def _settings() -> list[str]:
    """What a pick may set: the settings that the webui keeps with a model, its template and its context length."""
    return [key for key in ui.list_interface_input_elements() if key not in (*_OFFERED, 'preset_menu')]


def _settings_of(model_name, menu) -> list:
    """As the webui's own handler of the pick fills them."""
    found = {key: gr.update(value=value) for key, value in models_settings.get_model_metadata(model_name).items()}
    found[CHECKPOINT] = menu
    return [found.get(key, gr.update()) for key in _settings()]


def _preset_for(model_name):
    """Once for each pick, and after the webui's own handlers of the pick: a preset that is set while they are at work
    makes the webui gather the page half changed, and an Airoboros gets the context length of the model before.
    """
    airoboros = loading.is_ours(model_name) and loading.family(model_name)
    return gr.update(value=PRESET_NAME) if airoboros and _has_preset() else gr.update()


def _page_opened():
    name = shared.model_name
    if not (loading.is_ours(name) and loading.answers_next()):
        return gr.update(), '', *_offered(), ''
    chosen = getattr(shared.args, CHECKPOINT, '')
    try:
        choices = loading.facts(name, chosen).candidates
    except GPTQError:
        choices = []
    facts = _show_facts(name, chosen, getattr(shared.args, FORMAT, 'auto'))
    return gr.update(choices=choices), facts, *_offered(), name


def _offered():
    """The PLAINFORMAT boxes, the helper for answers from sources and the line below the message, for what is loaded."""
    box = gr.update(visible=chat_tab.offers_plainformat())
    return (
        box,
        box,
        box,
        gr.update(visible=loading.airoboros() is not None),
        gr.update(visible=loading.is_loaded()),
        chat_tab.show_glance(),
    )


def _set_always(value: bool):
    """Into `params`, which "Save extensions settings" writes into settings.yaml; and over what was read from there,
    which it would otherwise write again where the box is back at its default.
    """
    loading.params[_ALWAYS] = shared.settings[f'{EXTENSION}-{_ALWAYS}'] = value
    return _offered()


def _has_preset() -> bool:
    return any((folder / 'presets' / f'{PRESET_NAME}.yaml').is_file() for folder in versions.data_folders())
