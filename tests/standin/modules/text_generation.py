"""Decoding, as far as the tests need it."""

from modules import shared


def decode(output_ids, skip_special_tokens=True):
    return shared.tokenizer.decode(output_ids, skip_special_tokens=skip_special_tokens)


def get_reply_from_output_ids(output_ids, state=None, starting_from=0):
    return f'the webui waited for {len(output_ids) - starting_from} tokens'
