"""Our part of the Model tab: checkpoint, kernel and facts under the loader's menu, filled at the pick."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from modules import shared
from modules.utils import gradio

from ..core.errors import GPTQError
from ..core.prompts import PRESET_NAME
from ..panel import controls, view
from . import chat_tab, loading
from .names import CHECKPOINT, CONTEXT_HELPER, FACTS, KERNEL, PLAINFORMAT, PRESET_OF, REFRESH
from .placing import below, inside

# gr.Markdown says `change` whenever the page is drawn anew. Were the server asked each time, its answer would draw the
# page anew, without end. So the page itself looks whether the line has changed, and only then presses a hidden button.
# Not at the first time, when the page opens: that is _page_opened's.
_PRESS_IF_CHANGED = f"""(line) => {{
    const before = window.{REFRESH};
    window.{REFRESH} = line;
    if (before !== undefined && before !== line) document.getElementById('{REFRESH}')?.click();
    return [];
}}"""


def create() -> None:
    """Adds the components to shared.gradio, below the webui's `loader` dropdown."""
    with inside(shared.gradio['loader'].parent):
        shared.gradio[CHECKPOINT] = controls.checkpoint_dropdown(visible=False)
        shared.gradio[KERNEL] = controls.kernel_dropdown(visible=False)
    with below(shared.gradio['loader'].parent):
        shared.gradio[FACTS] = controls.facts_box(visible=False)
        shared.gradio[REFRESH] = gr.Button(visible=False, elem_id=REFRESH)
        shared.gradio[PRESET_OF] = gr.State(None)  # the model that it was set for; None until the page is open


def create_events() -> None:
    """Fills them when a model is picked, a checkpoint is chosen, or the status line says that something changed."""
    if not shared.args.multi_user:
        shared.gradio['model_menu'].change(
            _picked, gradio('model_menu'), gradio(CHECKPOINT, FACTS), show_progress=False
        )
        shared.gradio[CHECKPOINT].input(
            _show_facts, gradio('model_menu', CHECKPOINT), gradio(FACTS), show_progress=False
        )
        shared.gradio['model_status'].change(None, gradio('model_status'), None, js=_PRESS_IF_CHANGED)
        shared.gradio[REFRESH].click(
            _status_changed,
            gradio('model_menu', CHECKPOINT, PRESET_OF),
            gradio(FACTS, PLAINFORMAT, CONTEXT_HELPER, 'preset_menu', PRESET_OF),
            show_progress=False,
        )
    shared.gradio['interface'].load(
        _page_opened,
        None,
        gradio(CHECKPOINT, FACTS, PLAINFORMAT, CONTEXT_HELPER, PRESET_OF),
        show_progress=False,
    )


def _picked(model_name):
    from modules.models_settings import get_model_metadata

    if not loading.is_ours(model_name):
        return gr.update(choices=[], value=''), ''
    try:
        default = loading.facts(model_name)
    except GPTQError as e:
        return gr.update(choices=[], value=''), view.error_html(str(e))
    chosen = get_model_metadata(model_name).get(CHECKPOINT) or default.checkpoint.name
    menu = gr.update(choices=default.candidates, value=chosen, interactive=len(default.candidates) > 1)
    return menu, _show_facts(model_name, chosen)


def _show_facts(model_name, checkpoint):
    if not loading.is_ours(model_name):
        return ''
    try:
        facts = loading.facts(model_name, checkpoint)
    except GPTQError as e:
        return view.error_html(str(e))
    return view.facts_html(facts, loading.running(facts))


def _status_changed(model_name, checkpoint, preset_of):
    shown = _show_facts(model_name, checkpoint), *_offered()
    if preset_of in (None, model_name):
        return *shown, gr.update(), gr.update()
    return *shown, _preset_for(model_name), model_name


def _preset_for(model_name):
    """Once for each pick, and after the webui's own handlers of the pick: a preset that is set while they are at work
    makes the webui gather the page half changed, and an Airoboros gets the context length of the model before.
    """
    try:
        airoboros = loading.is_ours(model_name) and loading.facts(model_name).airoboros
    except GPTQError:
        airoboros = False
    return gr.update(value=PRESET_NAME) if airoboros and _has_preset() else gr.update()


def _page_opened():
    name = shared.model_name
    if not (loading.is_ours(name) and loading.is_loaded()):
        return gr.update(), '', *_offered(), ''
    chosen = getattr(shared.args, CHECKPOINT, '')
    try:
        choices = loading.facts(name, chosen).candidates
    except GPTQError:
        choices = []
    return gr.update(choices=choices), _show_facts(name, chosen), *_offered(), name


def _offered():
    """The PLAINFORMAT box and the helper for answers from sources, for what is loaded."""
    return gr.update(visible=chat_tab.offers_plainformat()), gr.update(visible=loading.airoboros() is not None)


def _has_preset() -> bool:
    return any((folder / 'presets' / f'{PRESET_NAME}.yaml').is_file() for folder in _user_data_folders())


def _user_data_folders() -> list[Path]:
    """Where presets and templates may lie: the user_data folder since v3.3, the webui's root before."""
    return [Path(getattr(shared, 'user_data_dir', 'user_data')), Path('.')]
