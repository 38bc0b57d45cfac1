"""An extension for tests that steers a running webui by files in its folder: `hold` stops a load half way until the file is
gone, `idle` unloads the model as --idle-timeout does, and vanishes when that is done.
"""

from __future__ import annotations

import time
from pathlib import Path

from .server import START_SECONDS

NAME = 'steered'
_SCRIPT = """
import pathlib, sys, threading, time

def setup():
    session = sys.modules['airoboros_gptq.webui.loader'].gptq_loader.session
    load = session.load

    def held(*args, progress=None, **kwargs):
        if progress and pathlib.Path('hold').exists():
            progress(1, 4)
        while pathlib.Path('hold').exists():
            time.sleep(0.05)
        return load(*args, progress=progress, **kwargs)

    session.load = held
    threading.Thread(target=unload_when_told, daemon=True).start()

def unload_when_told():
    from modules import models
    while True:
        time.sleep(0.05)
        if pathlib.Path('idle').exists():
            models.unload_model(keep_model_name=True)
            pathlib.Path('idle').unlink()
"""


def add_to(webui: Path) -> None:
    """Adds the extension; start the webui with `--extensions airoboros_gptq steered`."""
    folder = webui / 'extensions' / NAME
    folder.mkdir()
    (folder / 'script.py').write_text(_SCRIPT)


def unload_as_idle(webui: Path) -> None:
    told = webui / 'idle'
    told.touch()
    deadline = time.monotonic() + START_SECONDS
    while told.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not told.exists()
