"""What happens when the extension is unticked in the Session tab: the webui goes on as if it had never been there."""

from __future__ import annotations

from modules import extensions, models, shared
from modules.logging_colors import logger

from ..names import EXTENSION, LOADER
from . import loader as loading
from . import patches

# As the webui imports us: in extensions/, and in user_data/extensions/ since v4.0 and before.
_SCRIPTS = f'extensions.{EXTENSION}.script', f'user_ext_{EXTENSION}', f'user_data.extensions.{EXTENSION}.script'


def leave() -> None:
    """Unloads a model of ours, takes out every patch, and lets the webui call setup() again should we come back."""
    if loading.is_loaded():
        logger.info(f'airoboros_gptq is disabled: {shared.model_name} is unloaded, and the loader {LOADER} leaves.')
        models.unload_model()
    if shared.args.loader == LOADER:
        shared.args.loader = None
    patches.undo()
    # A webui that is left without any extension keeps the list it had, and would go on calling us.
    extensions.state.pop(EXTENSION, None)
    for script in [s for s in extensions.setup_called if getattr(s, '__name__', '') in _SCRIPTS]:
        extensions.setup_called.discard(script)
