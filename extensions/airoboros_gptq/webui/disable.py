"""Unticking the extension in the Session tab: afterwards the webui runs as if the extension had never been loaded."""

from __future__ import annotations

from collections.abc import Callable

from modules import extensions, models, shared
from modules.logging_colors import logger

from ..names import EXTENSION, LOADER
from .loader import gptq_loader

# The names under which the webui imports script.py: from extensions/, and from user_data/extensions/ since v4.0 and before.
_SCRIPTS = f'extensions.{EXTENSION}.script', f'user_ext_{EXTENSION}', f'user_data.extensions.{EXTENSION}.script'


def disable(undo_patches: Callable[[], None]) -> None:
    """Unloads the model if airoboros-GPTQ loaded it, and removes every patch. Ticked again, setup() is called again."""
    if gptq_loader.is_loaded():
        logger.info(f'airoboros_gptq is disabled: unloading {shared.model_name} and removing the loader {LOADER}.')
        models.unload_model()
    if shared.args.loader == LOADER:
        shared.args.loader = None
    undo_patches()
    # A webui that is left without any extension keeps its old list, and would go on calling this one.
    extensions.state.pop(EXTENSION, None)
    for script in [s for s in extensions.setup_called if getattr(s, '__name__', '') in _SCRIPTS]:
        extensions.setup_called.discard(script)
