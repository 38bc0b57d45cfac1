"""The Chat tab: the PLAINFORMAT box, the status line, the context helper, and how messages are sent and displayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from modules import chat, shared
from modules.utils import gradio

from ..airoboros.plainformat import add_plainformat, as_code_block, has_plainformat, remove_plainformat
from ..names import CONTEXT_HELPER, MESSAGE_FOOTER, PLAINFORMAT, REFRESH_STATUS_LINE, STATUS_LINE
from ..ui import controls, html
from ..ui.context_helper import context_helper
from .gradio_layout import on_page_load, reopen
from .loader import gptq_loader

COMPONENTS = (PLAINFORMAT, MESSAGE_FOOTER, STATUS_LINE, REFRESH_STATUS_LINE)
HELPER_COMPONENTS = (CONTEXT_HELPER,)
Json = dict[str, Any]

# Once an answer is complete and rendered the page clicks a hidden button; not while the status line is hidden, as with
# another loader. gradio_layout.on_page_load says why this is no event of gradio's.
_REFRESH_AFTER_ANSWER = f"""() => {{
    const area = document.getElementById('chat')?.parentNode?.parentNode?.parentNode;
    let timer;
    const refresh = () => {{
        if (area.closest('._generating') || area.querySelector('._generating')) return later();
        if (document.getElementById('{STATUS_LINE}')?.offsetParent) document.getElementById('{REFRESH_STATUS_LINE}')?.click();
    }};
    const later = () => {{ clearTimeout(timer); timer = setTimeout(refresh, 250); }};
    if (area) new MutationObserver(later).observe(area, {{childList: true, subtree: true, characterData: true}});
    return [];
}}"""


def create() -> None:
    """Creates a footer under the message box: the PLAINFORMAT box, hidden until a model that was trained with it is loaded,
    and the status line, hidden until a GPTQ model is.
    """
    with reopen(shared.gradio['textbox'].parent):
        with gr.Row(visible=False, elem_id='gptq-message-footer') as shared.gradio[MESSAGE_FOOTER]:
            shared.gradio[PLAINFORMAT] = controls.plainformat_box(visible=False)
            shared.gradio[STATUS_LINE] = controls.status_line(elem_id=STATUS_LINE)
        shared.gradio[REFRESH_STATUS_LINE] = gr.Button(visible=False, elem_id=REFRESH_STATUS_LINE)


def create_events() -> None:
    """Refreshes the status line when an answer has been rendered."""
    on_page_load(_REFRESH_AFTER_ANSWER)
    shared.gradio[REFRESH_STATUS_LINE].click(
        status_line, None, gradio(STATUS_LINE), show_progress=False, trigger_mode='always_last'
    )


def status_line() -> str:
    """The status line's HTML: name, kernel and device, throughput and memory of the loaded model."""
    return html.status_line_html(*gptq_loader.status())


def create_helper() -> None:
    """Creates the context helper at the end of the chat's controls, hidden until an Airoboros is loaded. Its fields are in
    none of the webui's lists, so nothing that is typed there is saved.
    """
    column = shared.gradio['mode'].parent
    while not isinstance(column, gr.Column) and column.parent is not None:
        column = column.parent
    box = shared.gradio['textbox']
    multimodal = isinstance(box, getattr(gr, 'MultimodalTextbox', ()))
    with reopen(column):
        shared.gradio[CONTEXT_HELPER] = context_helper(
            box, (lambda prompt: {'text': prompt, 'files': []}) if multimodal else str, visible=False
        )


def offers_plainformat() -> bool:
    """Whether the box is shown: for a model that was trained with PLAINFORMAT, or by the user's setting for every model."""
    if gptq_loader.settings.get('always_offer_plainformat'):
        return gptq_loader.is_active()
    return plainformat_spaces() is not None


def plainformat_spaces() -> int | None:
    """The spaces before PLAINFORMAT that the model was trained with; None for one that was not."""
    airoboros = gptq_loader.airoboros()
    return airoboros.plainformat_spaces if airoboros else None


def modify_input(text: str, state: Json) -> str:
    """The instruction as it is sent and stored; the page shows it as typed. A hidden box adds nothing. A PLAINFORMAT that was
    typed by hand, as clients of the API do, gets the spaces that the model was trained with.
    """
    if not offers_plainformat():
        return text
    wants_plain = state.get(PLAINFORMAT) or has_plainformat(text)
    return add_plainformat(remove_plainformat(text), plainformat_spaces()) if wants_plain else text


def regenerating(state: Json) -> Json:
    """The state with PLAINFORMAT in the last instruction as the box is ticked now. API calls have no box: unchanged."""
    box, history = state.get(PLAINFORMAT), state['history']
    if box is None or not history['internal'] or not offers_plainformat():
        return state
    user, *rest = history['internal'][-1]
    user = add_plainformat(user, plainformat_spaces()) if box else remove_plainformat(user)
    state['history'] = {**history, 'internal': [*history['internal'][:-1], [user, *rest]]}
    return state


def edit_message(original: Callable[[Json], list[Any]], state: Json) -> list[Any]:
    """Calls the webui's handler of an edit, `original`; a question that ended with PLAINFORMAT is then stored with it again."""
    row, rows = int(state['edit_message_index']), state['history']['internal']
    was_plain = state['edit_message_role'] == 'user' and row < len(rows) and has_plainformat(rows[row][0])
    history, rendered, *rest = original(state)
    if not was_plain:
        return [history, rendered, *rest]
    history['internal'][row][0] = add_plainformat(history['internal'][row][0], plainformat_spaces())
    versions = history.get('metadata', {}).get(f'user_{row}', {}).get('versions')
    if versions:
        versions[-1]['content'] = history['internal'][row][0]
    chat.save_history(history, state['unique_id'], state['character_menu'], state['mode'])
    keys = ('name1', 'name2', 'mode', 'chat_style', 'character_menu')
    return [history, chat.redraw_html(history, *(state[key] for key in keys)), *rest]


def mark_versions(history: Json, was_plain: bool) -> None:
    """Marks each version of the last answer as PLAINFORMAT or not, for display; `was_plain` is for the earlier ones."""
    row = len(history['internal']) - 1
    versions = history.get('metadata', {}).get(f'assistant_{row}', {}).get('versions', [])
    for version in versions[:-1]:
        version.setdefault('plainformat', was_plain)
    if versions:
        versions[-1]['plainformat'] = has_plainformat(history['internal'][row][0])


def last_is_plain(history: Json) -> bool:
    """Whether the last answer of a history was requested as PLAINFORMAT."""
    rows = history['internal']
    return bool(rows) and _is_plain(history, len(rows) - 1)


def for_display(history: Json) -> Json:
    """A copy of the history for display: PLAINFORMAT answers as code blocks, instructions as typed. Stored is plain text."""
    if not any(has_plainformat(row[0]) for row in history['internal']) and not _any_marked(history):
        return history
    visible, internal = [], []
    for i, (shown, stored) in enumerate(zip(history['visible'], history['internal'], strict=False)):
        answer = shown[1]
        if _is_plain(history, i) and answer != shared.processing_message and not answer.lstrip().startswith('`'):
            answer = as_code_block(answer)
        visible.append([shown[0], answer, *shown[2:]])
        # Copy and Edit take this text: with a PLAINFORMAT that the user typed, without one that was added.
        internal.append([stored[0] if has_plainformat(shown[0]) else remove_plainformat(stored[0]), *stored[1:]])
    return {**history, 'visible': visible, 'internal': internal}


def _is_plain(history: Json, row: int) -> bool:
    meta = history.get('metadata', {}).get(f'assistant_{row}', {})
    versions = meta.get('versions') or []
    current = meta.get('current_version_index', len(versions) - 1)
    if 0 <= current < len(versions) and 'plainformat' in versions[current]:
        return versions[current]['plainformat']
    if not has_plainformat(history['internal'][row][0]):
        return False
    # Typed by the user, it may have been for a model that was not trained with it.
    return not has_plainformat(history['visible'][row][0]) or offers_plainformat()


def _any_marked(history: Json) -> bool:
    metadata = history.get('metadata', {})
    return any('plainformat' in v for m in metadata.values() if isinstance(m, dict) for v in m.get('versions') or [])
