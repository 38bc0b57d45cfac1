"""How a function of the webui is replaced and restored; which functions, patches.py lists.

A patch replaces a function by a wrapper that calls it. Other extensions patch the same functions, before or after this one;
their wrappers stay in place. A wrapper that another extension has wrapped cannot be removed, and is switched off instead.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from modules.logging_colors import logger

from ..names import EXTENSION

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]  # original -> replacement
_MARK = '_airoboros_gptq'  # functools.wraps copies it to wrappers around one of this extension's
_PATCHED_PACKAGES = ('__main__', 'modules', 'extensions', 'user_data', 'server')


@dataclass(frozen=True)
class _Patch:
    """A function of the webui by module and name, its replacement, and the feature that is missing without it.

    Module and name may be functions, for what differs between versions; `when` says whether this webui needs the patch.
    """

    module: str | Callable[[], str]
    name: str | Callable[[], str]
    wrap: Wrap
    feature: str
    when: Callable[[], bool] | None


@dataclass(frozen=True)
class _Installed:
    """A wrapper, the namespace and name under which it stands, and the function that it replaced there."""

    namespace: dict[str, Any]
    name: str
    original: Callable[..., Any]
    wrapper: Callable[..., Any]


class Patcher:
    """The patches and the wrappers that are installed. Once undone, wrappers that cannot be removed call the original."""

    def __init__(self) -> None:
        self._patches: list[_Patch] = []
        self._installed: dict[tuple[int, str], _Installed] = {}  # by the namespace's id and the name in it
        self._enabled = False

    def replaces(
        self,
        module: str | Callable[[], str],
        name: str | Callable[[], str],
        feature: str,
        when: Callable[[], bool] | None = None,
    ) -> Callable[[Wrap], Wrap]:
        """Decorates a function that takes the original and returns its replacement."""

        def register(wrap: Wrap) -> Wrap:
            self._patches.append(_Patch(module, name, wrap, feature, when))
            return wrap

        return register

    def install(self) -> None:
        """Installs every patch that this webui needs. Installing again changes nothing."""
        self._enabled = True
        for patch in self._patches:
            if patch.when is None or patch.when():
                module, name = (at() if callable(at) else at for at in (patch.module, patch.name))
                self._install(module, name, patch.wrap, patch.feature)

    def _install(self, module: str, name: str, wrap: Wrap, feature: str) -> None:
        """Replaces `module.name` by wrap(it), also where another module has imported it by value. In a webui without that
        function `feature` is missing, which one line in the log says.
        """
        current = getattr(sys.modules.get(module), name, None)
        if current is None:
            logger.warning(f'{EXTENSION}: this webui has no {module}.{name}, so {feature} is missing.')
            return
        wrappers: dict[int, Callable[..., Any]] = {}
        for namespace in _namespaces():
            for key, value in list(namespace.items()):
                is_original = key == name and _is_original(value, module, name)
                if not (value is current or is_original) or _is_wrapper(value):
                    continue
                if not _is_original(value, module, name) and (id(namespace), key) in self._installed:
                    continue  # another extension's wrapper around this one's
                if id(value) not in wrappers:
                    wrappers[id(value)] = self._switchable(wrap(value), value)
                self._installed[id(namespace), key] = _Installed(namespace, key, value, wrappers[id(value)])
                namespace[key] = wrappers[id(value)]

    def undo(self) -> None:
        """Restores the original functions, and switches off the wrappers that cannot be removed."""
        self._enabled = False
        for at, installed in list(self._installed.items()):
            if installed.namespace.get(installed.name) is installed.wrapper:
                installed.namespace[installed.name] = installed.original
                del self._installed[at]

    def _switchable(self, replacement: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
        """Calls `replacement` while enabled, else `original`. Gradio sees the parameters of `replacement`."""
        wrapper: Any
        if inspect.isgeneratorfunction(replacement):

            def wrapper(*args: Any, **kwargs: Any) -> Iterator[Any]:
                yield from (replacement if self._enabled else original)(*args, **kwargs)
        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return (replacement if self._enabled else original)(*args, **kwargs)

        functools.update_wrapper(wrapper, original)
        del wrapper.__wrapped__
        wrapper.__signature__ = inspect.signature(replacement)
        setattr(wrapper, _MARK, True)
        return wrapper


def _is_wrapper(value: object) -> bool:
    """Whether it is a wrapper of this extension, or another extension's around one."""
    return hasattr(value, _MARK)


def _is_original(value: object, module: str, name: str) -> bool:
    """Whether it is the webui's own function of that name."""
    return (
        isinstance(value, FunctionType)
        and value.__code__.co_name == name
        and value.__globals__.get('__name__') == module
        and '__wrapped__' not in vars(value)
    )


def _namespaces() -> Iterator[dict[str, Any]]:
    """Of the webui's modules and of extensions, which may have imported a function of the webui by value."""
    for name, module in list(sys.modules.items()):
        if name.split('.')[0] in _PATCHED_PACKAGES or name.startswith('user_ext_'):
            yield vars(module)
