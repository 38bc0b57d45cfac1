"""Generating under a lock, and decoding, as far as the tests need them."""

from modules import shared


def generate_reply(*args, **kwargs):
    shared.generation_lock.acquire()
    try:
        for result in _generate_reply(*args, **kwargs):  # noqa: UP028, as the webui has it
            yield result
    finally:
        shared.generation_lock.release()


def _generate_reply(question, state, stopping_strings=None, is_chat=False, escape_html=False, for_ui=False):
    for result in state['replies']:  # noqa: UP028
        yield result


def decode(output_ids, skip_special_tokens=True):
    return shared.tokenizer.decode(output_ids, skip_special_tokens=skip_special_tokens)


def get_reply_from_output_ids(output_ids, state=None, starting_from=0):
    return f'the webui waited for {len(output_ids) - starting_from} tokens'
