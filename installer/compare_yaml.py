"""Whether an edit of a YAML file changes what it should and nothing else, as PyYAML reads it.

Run as a program by a Python that has PyYAML, the webui's own first of all; install.py itself needs the standard library
only. Reads one JSON object from stdin: `before` and `after`, the file's bytes in base64 or null where there is no file,
`change`, the name of a function of CHANGES, and `names`, its arguments. Prints one JSON object: `reason`, why the edit
is not to be made ('' where it is good), and `enabled`, whether default_extensions had the extension before.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

Settings = dict[Any, Any]


def read(text: str | None) -> Settings:
    """The mapping in a file; ValueError with the reason where there is none."""
    import yaml

    try:
        content = yaml.safe_load(base64.b64decode(text or ''))
    except (yaml.YAMLError, ValueError):  # ValueError: a date that is none
        raise ValueError('it is not valid YAML') from None
    if content is not None and not isinstance(content, dict):
        raise ValueError('it is not a mapping of settings')
    return content or {}


def listed(settings: Settings, implied: list[str]) -> list[str]:
    """default_extensions; `implied` where the file does not say."""
    names = settings.get('default_extensions', implied)
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError('its default_extensions is not a list of names')
    return list(names or [])


def enable(settings: Settings, extension: str, implied: list[str]) -> Settings:
    """With the extension as the last of default_extensions."""
    return {**settings, 'default_extensions': [*listed(settings, implied), extension]}


def disable(settings: Settings, extension: str, implied: list[str] | None, presets: list[str]) -> Settings:
    """Without the extension, and without a preset that is deleted with it."""
    names, left = listed(settings, []), dict(settings)
    if extension in names:
        names.remove(extension)
        left['default_extensions'] = names
        if names == implied:
            del left['default_extensions']
    if left.get('preset') in presets:
        del left['preset']
    return left


def forget_models(sections: Settings, loader: str, templates: list[str]) -> Settings:
    """config-user.yaml without the loader and the templates that are deleted, and without sections left empty by that."""
    dead = [('loader', loader.lower())] + [('instruction_template', name.lower()) for name in templates]
    left = {}
    for pattern, section in sections.items():
        if isinstance(section, dict):
            kept = {key: value for key, value in section.items() if (key, str(value).lower()) not in dead}
            if kept != section and not kept:
                continue
            section = kept
        left[pattern] = section
    return left


CHANGES = {'enable': enable, 'disable': disable, 'forget_models': forget_models}


def same(one: Any, other: Any) -> bool:
    """Equality that tells True from 1, and takes NaN for equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        keys, others = ({(type(key), key) for key in mapping} for mapping in (one, other))
        return keys == others and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other or (one != one and other != other))


def compare(before: str | None, after: str | None, change: str, names: list[Any]) -> dict[str, Any]:
    """The answer to one question; see the top of this file."""
    answer = {'reason': '', 'enabled': False}
    try:
        old = read(before)
        answer['enabled'] = change == 'enable' and names[0] in listed(old, [])
        if not answer['enabled'] and not same(read(after), CHANGES[change](old, *names)):  # type: ignore[operator]
            answer['reason'] = 'an edit of it would change other settings'
    except ValueError as error:
        answer['reason'] = str(error)
    return answer


if __name__ == '__main__':
    print(json.dumps(compare(**json.load(sys.stdin))))
