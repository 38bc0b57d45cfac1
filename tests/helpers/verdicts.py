"""Whether `inspect` and load() say the same of a folder."""

import contextlib
import io
import json
import re

from airoboros_gptq import GPTQError, cli, load

# What only the numbers in the file show: inspect, which reads no weights, cannot say it.
CONTENTS = (
    r'with NaN or infinity in it',
    r'with nothing but zeros in it',
    r'bytes of zeros in its midst',
    r'computes NaN or infinity',
    r'with numbers beyond the range of',
    r'\.bias, which the model has no place for',  # one of zeros is none
    r'which does not run',  # the code of the model, tried with its weights
)


def inspected(folder):
    """The sentence with which `inspect` refuses a folder; None where it exits 0."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = cli.main(['inspect', '--json', str(folder), '--device', 'cpu'])
    answer = json.loads(out.getvalue())
    assert code == ('error' in answer), answer
    return answer.get('error')


def disagreement(folder):
    """What `inspect` and load() say of a folder, where only one refuses it and no weight shows why; else None."""
    seen = inspected(folder)
    try:
        load(folder, device='cpu', progress=lambda done, total: None)
    except GPTQError as e:
        return compare_verdicts(seen, str(e))
    return compare_verdicts(seen, None)


def compare_verdicts(seen, loaded):
    """As disagreement(), of the sentences of `inspect` and load(), None where it took the folder."""
    if (seen is None) == (loaded is None) or (loaded and any(re.search(words, loaded) for words in CONTENTS)):
        return None
    return f'inspect: {seen}; load: {loaded}'
