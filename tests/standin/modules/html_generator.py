def chat_html_wrapper(history, name1, name2, mode, style, character, reset_cache=False, last_message_only=False):
    return history['visible']
