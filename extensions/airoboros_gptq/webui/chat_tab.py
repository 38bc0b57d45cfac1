"""The Chat tab: the PLAINFORMAT box, what is sent, how bare code is shown, and the helper for answers from sources."""

from __future__ import annotations

import gradio as gr
from modules import chat, shared
from modules.utils import gradio

from ..airoboros.plainformat import add_plainformat, as_code_block, has_plainformat, remove_plainformat
from ..names import BELOW_MESSAGE, CONTEXT_HELPER, GLANCE, LOOK, PLAINFORMAT
from ..ui import controls
from ..ui import html as view
from ..ui.context_helper import context_helper
from . import loader as loading
from .gradio_layout import inside, watch


def create() -> None:
    """Under the message box the PLAINFORMAT box, hidden until a model that knows it is loaded, and one line that says
    what is loaded and how fast it was, hidden until a model of ours is.
    """
    with inside(shared.gradio['textbox'].parent):
        with gr.Row(visible=False, elem_id='gptq-below-message') as shared.gradio[BELOW_MESSAGE]:
            shared.gradio[PLAINFORMAT] = controls.plainformat_box(visible=False)
            shared.gradio[GLANCE] = controls.glance(elem_id=GLANCE)
        shared.gradio[LOOK] = gr.Button(visible=False, elem_id=LOOK)


# The page itself sees that an answer has been drawn, and when it is whole presses a hidden button; where the line is hidden,
# with another loader, nothing is asked. Not by an event of gradio's: see placing.watch.
_LOOK_WHEN_STILL = f"""() => {{
    const area = document.getElementById('chat')?.parentNode?.parentNode?.parentNode;
    let timer;
    const look = () => {{
        if (area.closest('._generating') || area.querySelector('._generating')) return later();
        if (document.getElementById('{GLANCE}')?.offsetParent) document.getElementById('{LOOK}')?.click();
    }};
    const later = () => {{ clearTimeout(timer); timer = setTimeout(look, 250); }};
    if (area) new MutationObserver(later).observe(area, {{childList: true, subtree: true, characterData: true}});
    return [];
}}"""


def create_events() -> None:
    """The line says anew how fast it went when an answer has been drawn."""
    watch(_LOOK_WHEN_STILL)
    shared.gradio[LOOK].click(show_glance, None, gradio(GLANCE), show_progress=False, trigger_mode='always_last')


def show_glance() -> str:
    return view.glance_html(*loading.glance())


def create_helper() -> None:
    """The helper for answers from sources, at the end of the chat's controls. Hidden as the box is. Its fields are in no
    list of the webui's, so that nothing that is typed there is saved.
    """
    column = shared.gradio['mode'].parent
    while not isinstance(column, gr.Column) and column.parent is not None:
        column = column.parent
    box = shared.gradio['textbox']
    rich = isinstance(box, getattr(gr, 'MultimodalTextbox', ()))
    with inside(column):
        shared.gradio[CONTEXT_HELPER] = context_helper(
            box, (lambda prompt: {'text': prompt, 'files': []}) if rich else str, visible=False
        )


def offers_plainformat() -> bool:
    """Whether the model learned PLAINFORMAT, or the user wants the box for every model of ours."""
    if loading.params.get('always_offer_plainformat'):
        return loading.answers_next()
    return spaces() is not None


def spaces() -> int | None:
    """Before PLAINFORMAT, as the model learned it; None for one that did not."""
    airoboros = loading.airoboros()
    return airoboros.plainformat_spaces if airoboros else None


def modify_input(text: str, state: dict) -> str:
    """The instruction as it is sent and kept; what is shown stays as typed. A box that is hidden asks for nothing. A
    PLAINFORMAT that was written by hand, as clients of the API do, gets the spaces that the model learned.
    """
    if not offers_plainformat():
        return text
    asked = state.get(PLAINFORMAT) or has_plainformat(text)
    return add_plainformat(remove_plainformat(text), spaces()) if asked else text


def regenerating(state: dict) -> dict:
    """The state with the last instruction as the box now stands. API calls, which have no box, keep theirs."""
    box, history = state.get(PLAINFORMAT), state['history']
    if box is None or not history['internal'] or not offers_plainformat():
        return state
    user, *rest = history['internal'][-1]
    user = add_plainformat(user, spaces()) if box else remove_plainformat(user)
    state['history'] = {**history, 'internal': [*history['internal'][:-1], [user, *rest]]}
    return state


def edit_message(edit, state: dict) -> list:
    """The webui's `edit`, after which a question that ended with PLAINFORMAT does so again: shown and stored."""
    row, rows = int(state['edit_message_index']), state['history']['internal']
    was_plain = state['edit_message_role'] == 'user' and row < len(rows) and has_plainformat(rows[row][0])
    history, drawn, *rest = edit(state)
    if not was_plain:
        return [history, drawn, *rest]
    history['internal'][row][0] = add_plainformat(history['internal'][row][0], spaces())
    versions = history.get('metadata', {}).get(f'user_{row}', {}).get('versions')
    if versions:
        versions[-1]['content'] = history['internal'][row][0]
    chat.save_history(history, state['unique_id'], state['character_menu'], state['mode'])
    keys = ('name1', 'name2', 'mode', 'chat_style', 'character_menu')
    return [history, chat.redraw_html(history, *(state[key] for key in keys)), *rest]


def mark_versions(history: dict, was_plain: bool) -> None:
    """Notes for each version of the last answer whether it was asked for as PLAINFORMAT, so that it is shown so."""
    row = len(history['internal']) - 1
    versions = history.get('metadata', {}).get(f'assistant_{row}', {}).get('versions', [])
    for version in versions[:-1]:
        version.setdefault('plainformat', was_plain)
    if versions:
        versions[-1]['plainformat'] = has_plainformat(history['internal'][row][0])


def last_is_plain(history: dict) -> bool:
    """Whether the last answer of a history was asked for as PLAINFORMAT."""
    rows = history['internal']
    return bool(rows) and _asked_plain(history, len(rows) - 1)


def for_display(history: dict) -> dict:
    """The history as the page shows it: answers asked for as PLAINFORMAT as code blocks, instructions as typed.

    Only a copy for drawing: what is stored stays plain text.
    """
    if not any(has_plainformat(row[0]) for row in history['internal']) and not _any_marked(history):
        return history
    visible, internal = [], []
    for i, (shown, kept) in enumerate(zip(history['visible'], history['internal'], strict=False)):
        answer = shown[1]
        if _asked_plain(history, i) and answer != shared.processing_message and not answer.lstrip().startswith('`'):
            answer = as_code_block(answer)
        visible.append([shown[0], answer, *shown[2:]])
        # Copy and Edit take this text: without what we added, with what the user typed.
        internal.append([kept[0] if has_plainformat(shown[0]) else remove_plainformat(kept[0]), *kept[1:]])
    return {**history, 'visible': visible, 'internal': internal}


def _asked_plain(history: dict, row: int) -> bool:
    meta = history.get('metadata', {}).get(f'assistant_{row}', {})
    versions = meta.get('versions') or []
    current = meta.get('current_version_index', len(versions) - 1)
    if 0 <= current < len(versions) and 'plainformat' in versions[current]:
        return versions[current]['plainformat']
    if not has_plainformat(history['internal'][row][0]):
        return False
    # Where the user typed the word, it may have been for a model to which it means nothing.
    return not has_plainformat(history['visible'][row][0]) or offers_plainformat()


def _any_marked(history: dict) -> bool:
    metadata = history.get('metadata', {})
    return any('plainformat' in v for m in metadata.values() if isinstance(m, dict) for v in m.get('versions') or [])
