"""What a webui has saved that names us: our entry put into its settings, and all of it taken out again."""

import re

from . import LOADER, NAME, Stop, files
from .manifest import decode
from .settings_yaml import add_ours, drop_ours, find_list


def plan_settings(webui):
    """(bytes now, bytes with us enabled)."""
    now = webui.settings.read_bytes() if webui.settings.exists() else None
    if now is None and webui.settings.with_suffix('.json').exists() and 'settings.json' in webui.source('server.py'):
        raise Stop(
            f'{webui.settings.with_suffix(".json")} is in use: start the webui with --extensions {NAME} instead.'
        )
    try:
        return now, add_ours(now or b'', webui.default_extensions())
    except ValueError as error:
        raise Stop(f'{webui.settings} was left alone, as {error}: add {NAME} to its default_extensions.') from None


def restore_settings(webui, record, presets):
    """The very bytes from before us; where others have written since, all but our entry and presets that are gone."""
    before, after = (decode(record[key]) for key in ('before', 'after')) if record else (None, None)

    def change(data):
        if record and data in (before, after):
            return before
        droppable = webui.default_extensions() if record and not find_list(before or b'')[1] else None
        text = drop_ours(data, droppable).decode('utf-8')
        # A preset that does not exist is an error in the log each time it is asked for.
        for preset in presets:
            text = re.sub(rf'(?m)^preset:[ \t]*(["\']?){re.escape(preset)}\1[ \t]*\r?(?:\n|\Z)', '', text)
        return text.encode('utf-8') if text.strip() or not data.strip() else None

    try:
        files.edit(webui.settings, change)
    except ValueError as error:
        return Stop(f'{webui.settings} was left alone, as {error}: take {NAME} out of its default_extensions.')
    return None


def drop_dead_models(data, templates):
    """A config-user.yaml without what fails once we are gone: our loader (a KeyError) and our templates (a warning)."""
    named = [('loader', LOADER), *(('instruction_template', template) for template in templates)]
    named = [rf'{key}:[ \t]*["\']?{re.escape(name)}(?=["\'\s]|\Z)' for key, name in named]
    dead = rf'(?mi)^[ \t]+(?:{"|".join(named)})[^\n]*(?:\n|\Z)'
    out = []
    for section in re.split(r'(?m)^(?=\S)', data.decode('latin-1')):  # whatever the encoding, the bytes stay
        kept = re.sub(dead, '', section)
        # A model left without any setting would be null, at which the webui stops.
        out.append(kept if kept == section or re.search(r'(?m)^[ \t]+\S', kept) else '')
    return ''.join(out).encode('latin-1') if ''.join(out).strip() or not data.strip() else None
