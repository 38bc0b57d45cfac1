"""How a patch of the webui is put in and taken out; which patches there are, patches.py says.

A patch replaces a function by one that calls it. Other extensions do the same, before us or after us: what they put
stays where it is. Where theirs stands around ours, ours cannot be taken out, and is switched off instead.
"""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import dataclass
from types import FunctionType

from modules.logging_colors import logger

_MARK = '_airoboros_gptq'


@dataclass(frozen=True)
class _Placed:
    """Where a wrapper of ours was put, and what stood there before."""

    namespace: dict
    key: str
    original: object
    wrapper: object


_placed: dict[tuple[int, str], _Placed] = {}  # by the namespace's id and the name in it
_on = False


def switch_on() -> None:
    """From now on our wrappers do what they are there for."""
    global _on
    _on = True


def patch(module: str, name: str, make, feature: str) -> None:
    """Puts make(original) where `module.name` stands, and wherever it was imported by value. Where a version of the
    webui lacks it, one line in the log names the feature that is missing. To patch again changes nothing.
    """
    standing = getattr(sys.modules.get(module), name, None)
    if standing is None:
        logger.warning(f'airoboros_gptq: this webui has no {module}.{name}, so {feature} is missing.')
        return
    wrappers: dict[int, object] = {}
    for namespace in _namespaces():
        for key, value in list(namespace.items()):
            if (value is standing or (key == name and _is_the_webuis(value, module, name))) and not _is_ours(value):
                if not _is_the_webuis(value, module, name) and (id(namespace), key) in _placed:
                    continue  # another extension's, around ours
                if id(value) not in wrappers:
                    wrappers[id(value)] = _switchable(make(value), value)
                _placed[id(namespace), key] = _Placed(namespace, key, value, wrappers[id(value)])
                namespace[key] = wrappers[id(value)]


def undo() -> None:
    """Puts back what stood there, and switches off what cannot be taken out."""
    global _on
    _on = False
    for place, placed in list(_placed.items()):
        if placed.namespace.get(placed.key) is placed.wrapper:
            placed.namespace[placed.key] = placed.original
            del _placed[place]


def _switchable(ours, original):
    """`ours` while it is switched on, `original` else; gradio sees the parameters of ours."""
    if inspect.isgeneratorfunction(ours):

        def wrapper(*args, **kwargs):
            yield from (ours if _on else original)(*args, **kwargs)
    else:

        def wrapper(*args, **kwargs):
            return (ours if _on else original)(*args, **kwargs)

    functools.update_wrapper(wrapper, original)
    del wrapper.__wrapped__
    wrapper.__signature__ = inspect.signature(ours)
    setattr(wrapper, _MARK, True)
    return wrapper


def _is_ours(value) -> bool:
    """Whether it is a wrapper of ours, or another's around ours: functools.wraps copies the mark."""
    return hasattr(value, _MARK)


def _is_the_webuis(value, module: str, name: str) -> bool:
    """Whether it is the webui's own function of that name, which nobody has replaced."""
    return (
        isinstance(value, FunctionType)
        and value.__code__.co_name == name
        and value.__globals__.get('__name__') == module
        and '__wrapped__' not in vars(value)
    )


def _namespaces():
    """Of the webui's own modules and of extensions: where a function of the webui may stand by value."""
    for name, module in list(sys.modules.items()):
        ours = name == '__main__' or name.split('.')[0] in ('modules', 'extensions', 'user_data', 'server')
        if ours or name.startswith('user_ext_'):
            yield vars(module)
