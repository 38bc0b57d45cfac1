"""The Chat tab: the PLAINFORMAT box, what is sent, how bare code is shown, and the helper for answers from sources."""

from __future__ import annotations

import gradio as gr
from modules import shared

from ..core.prompts import add_plainformat, as_code_block, has_plainformat, remove_plainformat
from ..panel import controls
from ..panel.context_helper import context_helper
from . import loading
from .names import CONTEXT_HELPER, PLAINFORMAT
from .placing import inside


def create() -> None:
    """The box, under the message box. Hidden until a model that knows PLAINFORMAT is loaded."""
    with inside(shared.gradio['textbox'].parent):
        shared.gradio[PLAINFORMAT] = controls.plainformat_box(visible=False)


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
    """Whether the loaded model learned PLAINFORMAT, or the user wants the box for every model of ours."""
    if loading.params.get('always_offer_plainformat'):
        return loading.is_loaded()
    return _spaces() is not None


def _spaces() -> int | None:
    airoboros = loading.airoboros()
    return airoboros.plainformat_spaces if airoboros else None


def modify_input(text: str, state: dict) -> str:
    """The instruction as it is sent and kept; what is shown stays as typed. A box that is hidden asks for nothing."""
    return add_plainformat(text, _spaces()) if state.get(PLAINFORMAT) and offers_plainformat() else text


def regenerating(state: dict) -> dict:
    """The state with the last instruction as the box now stands. API calls, which have no box, keep theirs."""
    box, history = state.get(PLAINFORMAT), state['history']
    if box is None or not history['internal'] or not offers_plainformat():
        return state
    user, *rest = history['internal'][-1]
    user = add_plainformat(user, _spaces()) if box else remove_plainformat(user)
    state['history'] = {**history, 'internal': [*history['internal'][:-1], [user, *rest]]}
    return state


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
    return has_plainformat(history['internal'][row][0])


def _any_marked(history: dict) -> bool:
    metadata = history.get('metadata', {})
    return any('plainformat' in v for m in metadata.values() if isinstance(m, dict) for v in m.get('versions') or [])
