"""The prompt of the Chat tab, where what the webui makes of a conversation is not what the model was trained on."""

from __future__ import annotations

from ..airoboros.plainformat import join_as_trained, plainformat_last
from . import loader as loading


def generate(webuis, user_input, state: dict, **kwargs):
    """What the webui's generate_chat_prompt makes of a conversation, with the space before an answer to be continued, and
    PLAINFORMAT at the end of its message. Two things, where its caller asks for the rows too.
    """
    made = webuis(user_input, state, **kwargs)
    if not loading.answers_next():
        return made
    prompt, *rows = made if isinstance(made, tuple) else (made,)
    airoboros, history = loading.airoboros(), kwargs.get('history', state['history'])
    spaces = {} if airoboros is None else {'spaces': airoboros.plainformat_spaces}
    prompt = plainformat_last(prompt, _attached(history.get('metadata', {})), **spaces)
    if kwargs.get('_continue') and airoboros and state.get('mode') == 'instruct' and history['internal']:
        prompt = join_as_trained(prompt, history['internal'][-1][1].strip(), airoboros.format)
    return (prompt, *rows) if rows else prompt


def _attached(metadata: dict) -> list[str]:
    """The last attached text of each message, as the webui's prompt ends it."""
    found = []
    for of in metadata.values():
        texts = [a for a in of.get('attachments', ()) if a.get('type') != 'image'] if isinstance(of, dict) else []
        if texts:
            found.append(f'\n=====\n{texts[-1].get("content", "")}\n=====\n')
    return found
