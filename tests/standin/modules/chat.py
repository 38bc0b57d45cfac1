"""Answers. The stand-in's model says what it was asked."""

import copy

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


def redraw_html(history, name1, name2, mode, style, character, reset_cache=False):
    return chat_html_wrapper(history, name1, name2, mode, style, character, reset_cache=reset_cache)
