"""What install.py remembers inside a webui of what it wrote there."""

import base64
import json

from . import NAME, Stop, files


def manifest_paths(extension):
    """Inside the folder we made, so that deleting that takes it along; beside a link, or our source would get it."""
    return {'link': extension.parent / f'.{NAME}.installed.json', 'copy': extension / '.installed.json'}


def read_manifest(webui):
    for mode, path in manifest_paths(webui.extension).items():
        if not path.is_file() or (mode == 'copy' and webui.extension.is_symlink()):
            continue
        try:
            manifest = json.loads(path.read_text('utf-8'))
            if manifest['mode'] == mode and {'files', 'folders', 'settings'} <= manifest.keys():
                return manifest
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        raise Stop(f'{path} is damaged, so what belongs to {NAME} is unknown: delete {webui.extension} by hand.')
    return None


def write_manifest(webui, manifest):
    text = json.dumps(manifest, indent=1, sort_keys=True) + '\n'
    files.write(manifest_paths(webui.extension)[manifest['mode']], text.encode())


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)
