"""`python -m airoboros_gptq real-model`: gets the model and prints where it is."""

from __future__ import annotations

import argparse
import sys

from ..errors import GPTQError
from ..util.formatting import round_bytes
from .source import DOWNLOAD_BYTES, LICENCE, MODEL, model_folder


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `real-model` to the command line's subparsers."""
    size = round_bytes(DOWNLOAD_BYTES)
    parser = commands.add_parser(
        'real-model', help=f'get {MODEL} ({size}, {LICENCE}) as a GPTQ folder, and print where it is'
    )
    parser.add_argument('--where', action='store_true', help='print where it is, or would be, and get nothing')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the folder on stdout, progress on stderr; returns the exit code. Raises GPTQError."""
    if not args.where:
        _get()
    print(model_folder(), flush=True)
    return 0


def _get() -> None:
    try:
        import gguf  # noqa: F401 - asked for before 93 MB are fetched
        from tqdm import tqdm
    except ModuleNotFoundError as e:
        raise GPTQError(
            f'Getting a real model needs {e.name}, which is not installed; run `python install.py demo --real-model` in the '
            'project folder, or `pip install gguf`.'
        ) from e
    from .get_model import get_model

    with tqdm(disable=None, unit=' tensors', bar_format='{desc} {bar}| {n_fmt}/{total_fmt}', leave=False) as bar:

        def say(step: str) -> None:
            if step == 'downloading':
                size = round_bytes(DOWNLOAD_BYTES)
                print(f'Downloading {MODEL} ({size}, {LICENCE}).', file=sys.stderr, flush=True)
            else:
                bar.set_description_str('Quantising')
                if bar.disable:
                    print('Quantising it to 8 bits.', file=sys.stderr, flush=True)

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        get_model(say, progress)
