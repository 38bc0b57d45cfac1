"""The one exception that a person gets to read."""

import unicodedata

_LONGEST = 2000


class GPTQError(Exception):
    """Something about a model folder or a request is wrong. `str()` is one sentence: file, fault, remedy.

    What it quotes of a broken file may be anything: it is kept to one line that any terminal can print.
    """

    def __init__(self, sentence: str):
        clean = ''.join(' ' if unicodedata.category(c) in ('Cc', 'Cs', 'Zl', 'Zp') else c for c in sentence)
        if len(clean) > _LONGEST:  # what is wrong stands at its front, the remedy at its end
            clean = f'{clean[: _LONGEST - 500]} … {clean[-490:]}'
        super().__init__(clean)


def first_line(error: BaseException) -> str:
    """What an exception of someone else's says, kept to one line, for a sentence of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
