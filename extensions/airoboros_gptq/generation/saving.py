"""save_pretrained() and state_dict() of a loaded model: refused, because they would leave out the quantised linears.

Those are packed for the kernel that runs them, and GPTQ's own tensors were let go. A file of what is left loads again without
an error, with random linears.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import GPTQError


def guard_saving(plain: Callable[..., Any], what: str) -> Callable[..., Any]:
    """A method that raises a GPTQError in place of transformers' `plain`, of which `what` is the name.

    It lets pass what saves an adapter: with one that transformers' add_adapter() put on, and where a module around the model,
    as peft's, collects the state of its parts.
    """

    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_part = bool(args) or kwargs.get('destination') is not None
        if getattr(self, '_hf_peft_config_loaded', False) or (what == 'state_dict' and is_part):
            return plain(self, *args, **kwargs)
        folder = self.config.name_or_path or 'its folder'
        raise GPTQError(
            f'{what}() cannot write this model, whose linears are packed for the kernel that runs them; to keep the model copy '
            f'{folder}, and to keep an adapter call save_pretrained() of the peft model.'
        )

    guarded.__doc__ = plain.__doc__
    guarded.__name__ = what
    return guarded
