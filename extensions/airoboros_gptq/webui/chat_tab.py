"""PLAINFORMAT in the Chat tab: the box, what is sent, and how the bare code that comes back is shown."""

from __future__ import annotations

from modules import shared

from ..core.prompts import add_plainformat, as_code_block, has_plainformat, remove_plainformat
from ..panel import controls
from . import loading
from .names import PLAINFORMAT
from .placing import inside


def create() -> None:
    """The box, under the message box. Hidden until a model that knows PLAINFORMAT is loaded."""
    with inside(shared.gradio['textbox'].parent):
        shared.gradio[PLAINFORMAT] = controls.plainformat_box(visible=False)


def modify_input(text: str, state: dict) -> str:
    """The instruction as it is sent and kept; what is shown stays as typed."""
    return add_plainformat(text) if state.get(PLAINFORMAT) and loading.is_loaded() else text


def regenerating(state: dict) -> dict:
    """The state with the last instruction as the box now stands. API calls, which have no box, keep theirs."""
    box, history = state.get(PLAINFORMAT), state['history']
    if box is None or not history['internal'] or not loading.is_loaded():
        return state
    user, *rest = history['internal'][-1]
    user = add_plainformat(user) if box else remove_plainformat(user)
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
