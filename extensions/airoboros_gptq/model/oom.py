"""What happens when memory runs out while a model is loaded."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from ..checkpoint.checkpoint import Checkpoint
from ..errors import GPTQError
from ..util.formatting import format_bytes
from ..util.torch_errors import is_out_of_memory

T = TypeVar('T')


def explain_out_of_memory(build: Callable[[], T], checkpoint: Checkpoint, device: torch.device) -> T:
    """build(), with a GPTQError where memory runs out; by then the half-built model and its memory are gone.

    Not a context manager: its frames would hold the traceback, whose frames hold the model's tensors. For the same reason
    the GPTQError is raised below, where the first error is no longer its context.
    """
    try:
        return build()
    except (MemoryError, RuntimeError) as e:
        if not is_out_of_memory(e):
            raise
    gc.collect()  # modules refer to each other in circles
    if device.type == 'cuda':
        torch.cuda.empty_cache()
    raise GPTQError(
        f'Memory ran out on {device} while {checkpoint.name} ({format_bytes(checkpoint.size)}) was loaded; close other '
        'programs or unload other models, or take a smaller model.'
    )
