"""The webui's saved settings: the extension enabled in settings.yaml, and everything that names it taken out again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import LOADER, NAME, InstallError, files
from .check_environment import find_python
from .manifest import SettingsRecord, decode, encode
from .settings_yaml import add_entry, has_list, is_simple, mentions, remove_entry
from .webui_tree import Webui

COMPARE = Path(__file__).with_name('compare_yaml.py')
NO_PARSER = 'no Python with PyYAML was found that could check the edit'
# What the webui itself writes into config-user.yaml: a pattern of names, and indented settings of one line each.
SIMPLE_MODELS = re.compile(r'(?:\S[^\r\n]*:|  [\w-]+:(?: [^\r\n]*)?|#[^\r\n]*|)\r?')


def plan_enable(webui: Webui, python: str | None = None) -> tuple[bytes | None, bytes | None]:
    """The bytes of settings.yaml now (None: no file) and with the extension enabled; the same twice where it is.

    Raises InstallError, which names the line to add by hand, where an edit would not be safe.
    """
    now = webui.settings.read_bytes() if webui.settings.exists() else None
    json_settings = webui.settings.with_suffix('.json')
    if now is None and json_settings.exists() and 'settings.json' in webui.source('server.py'):
        raise InstallError(f'{json_settings} is in use: start the webui with --extensions {NAME} instead.')
    implied = webui.default_extensions()
    after, reason = now, ''
    try:
        after = add_entry(now or b'', implied)
    except ValueError as error:
        reason = str(error)
    answer = _compare(webui, python, now, after, 'enable', NAME, implied)
    if answer and answer['enabled']:
        return now, now
    if answer:
        reason = reason or answer['reason']
    elif not is_simple(now or b''):
        reason = reason or NO_PARSER
    if reason:
        line = f'default_extensions: [{", ".join([*implied, NAME])}]'
        raise InstallError(
            f'{webui.settings} was left alone, as {reason}: add {NAME} to its default_extensions by hand '
            f'(where it has none, the line `{line}`).'
        )
    return now, after


def is_enabled(webui: Webui) -> bool:
    """Whether settings.yaml lists the extension, as far as its text shows."""
    try:
        data = webui.settings.read_bytes()
        return remove_entry(data, None) != data
    except (OSError, ValueError):
        return False


def restore_settings(webui: Webui, record: SettingsRecord | None, presets: list[str], python: str | None) -> str:
    """Gives settings.yaml the bytes it had before the install; '' or the sentence that says why it was left alone.

    Where somebody has written to it since, only the extension is taken out, and a preset that is deleted: the webui
    logs an error for it each time it asks for it.
    """
    if not webui.settings.exists():
        return ''
    data = webui.settings.read_bytes()
    before, after = (decode(record['before']), decode(record['after'])) if record else (None, None)
    if record and data in (before, after):
        if data != before:
            _rewrite(webui.settings, before)
        return ''
    implied = webui.default_extensions() if record and not has_list(before or b'') else None
    new, reason = data, ''
    try:
        new = remove_entry(data, implied)
    except ValueError as error:
        reason = str(error) if mentions(data, NAME) else ''
    new = _without_presets(new, presets)
    if new == data and not reason:
        return ''
    answer = _compare(webui, python, data, new, 'disable', NAME, implied, presets)
    if answer:
        reason = answer['reason'] and (
            reason or answer['reason']
        )  # unchanged may be right, where it is not in the list
    elif not is_simple(data):
        reason = reason or NO_PARSER
    if reason:
        return f'{webui.settings} was left alone, as {reason}: take {NAME} out of its default_extensions by hand.'
    if new != data:
        _rewrite(webui.settings, new if new.strip() else None)
    return ''


def forget_models(webui: Webui, templates: list[str], python: str | None) -> str:
    """Takes the deleted loader (a KeyError at --model) and templates (a warning) out of the models' saved settings.

    Returns '' or the sentence that says why the file was left alone.
    """
    path = webui.models_config
    if not path.exists():
        return ''
    data = path.read_bytes()
    new = _without_models(data, templates)
    if new == data:
        return ''
    answer = _compare(webui, python, data, new, 'forget_models', LOADER, templates)
    simple = all(SIMPLE_MODELS.fullmatch(line) for line in data.decode('utf-8', 'replace').split('\n'))
    reason = answer['reason'] if answer else '' if simple else NO_PARSER
    if reason:
        return f'{path} was left alone, as {reason}: take the loader {LOADER} out of it by hand.'
    _rewrite(path, new if new.strip() else None)
    return ''


def _without_presets(data: bytes, presets: list[str]) -> bytes:
    text = data.decode('latin-1')  # whatever the encoding, the bytes stay
    for preset in presets:
        text = re.sub(rf'(?m)^preset:[ \t]*(["\']?){re.escape(preset)}\1[ \t]*\r?(?:\n|\Z)', '', text)
    return text.encode('latin-1')


def _without_models(data: bytes, templates: list[str]) -> bytes:
    named = [('loader', LOADER), *(('instruction_template', template) for template in templates)]
    lines = [rf'{key}:[ \t]*["\']?{re.escape(name)}(?=["\'\s]|\Z)' for key, name in named]
    dead = rf'(?mi)^[ \t]+(?:{"|".join(lines)})[^\n]*(?:\n|\Z)'
    sections = []
    for section in re.split(r'(?m)^(?=\S)', data.decode('latin-1')):
        kept = re.sub(dead, '', section)
        # A section without any setting would be read as null, at which the webui stops.
        sections.append(kept if kept == section or re.search(r'(?m)^[ \t]+\S', kept) else '')
    return ''.join(sections).encode('latin-1')


def _rewrite(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink()
    else:
        files.write(path, data)
    print(f'{path}: {NAME} was taken out.')


def _compare(
    webui: Webui, python: str | None, before: bytes | None, after: bytes | None, change: str, *names: Any
) -> dict[str, Any] | None:
    """The answer of compare_yaml.py; None where no Python with PyYAML is found."""
    question = {'before': encode(before), 'after': encode(after), 'change': change, 'names': names}
    for candidate in (python or find_python(webui)[0], sys.executable):
        try:
            done = subprocess.run(
                [str(candidate), '-I', '-B', str(COMPARE)],
                input=json.dumps(question).encode(),
                capture_output=True,
                timeout=60,
                check=True,
            )
            answer = json.loads(done.stdout)
            if isinstance(answer, dict) and {'reason', 'enabled'} <= answer.keys():
                return answer
        except (OSError, ValueError, subprocess.SubprocessError):
            continue
    return None
