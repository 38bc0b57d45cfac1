"""Answers: the stand-in's model repeats the question."""

import copy
import json
from pathlib import Path

from modules.html_generator import chat_html_wrapper


def chatbot_wrapper(text, state, regenerate=False, _continue=False, loading_message=True, for_ui=False):
    output = copy.deepcopy(state['history'])
    if regenerate:
        text, shown = output['internal'].pop()[0], output['visible'].pop()[0]
        versions = output['metadata'].setdefault(f'assistant_{len(output["internal"])}', {}).setdefault('versions', [])
        if not versions:
            versions.append({'content': 'the first answer', 'visible_content': 'the first answer'})
        versions.append({'content': f'answer to: {text}', 'visible_content': f'answer to: {text}'})
        output['metadata'][f'assistant_{len(output["internal"])}']['current_version_index'] = len(versions) - 1
    else:
        shown = text
    output['internal'].append([text, f'answer to: {text}'])
    output['visible'].append([shown, f'answer to: {text}'])
    yield output


def generate_chat_prompt(user_input, state, **kwargs):
    history = kwargs.get('history', state['history'])
    prompt = ''
    for i, (user, answer) in enumerate(
        [*history['internal'], *([] if kwargs.get('_continue') else [[user_input, '']])]
    ):
        for attached in history['metadata'].get(f'user_{i}', {}).get('attachments', ()):
            user += f'\n\nATTACHMENTS:\n\nName: it\nContents:\n\n=====\n{attached["content"]}\n=====\n\n'
        prompt += f'[INST] {user} [/INST]' + (answer if i == len(history['internal']) - 1 else f' {answer} </s>')
    return prompt


def handle_edit_message_click(state):
    history, row = state['history'], state['edit_message_index']
    role = 0 if state['edit_message_role'] == 'user' else 1
    versions = history['metadata'].setdefault(f'{state["edit_message_role"]}_{row}', {}).setdefault('versions', [])
    history['internal'][row][role] = history['visible'][row][role] = state['edit_message_text']
    versions.append({'content': state['edit_message_text'], 'visible_content': state['edit_message_text']})
    save_history(history, state['unique_id'], state['character_menu'], state['mode'])
    return [history, redraw_html(history, 'You', 'AI', 'instruct', 'cai-chat', 'Assistant')]


def save_history(history, unique_id, character, mode):
    Path(f'{unique_id}.json').write_text(json.dumps(history))


def redraw_html(history, name1, name2, mode, style, character, reset_cache=False):
    return chat_html_wrapper(history, name1, name2, mode, style, character, reset_cache=reset_cache)
