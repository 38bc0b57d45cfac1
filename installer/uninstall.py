"""Takes the extension out of a webui: every file that was installed and not edited since, and what the webui saved."""

from __future__ import annotations

import os

from . import NAME, InstallError, files, hook
from .cache import cache_folder
from .leftovers import holds_nothing, remove_leftovers
from .manifest import Manifest, begin_uninstall, finish, read_manifest
from .payload import COPIED_FOLDERS, known_hooks
from .saved_settings import forget_models, restore_settings
from .webui_tree import Webui


def uninstall(webui: Webui, python: str | None = None) -> None:
    """Uninstalls; may be run again after it was killed. Raises InstallError where something has to be done by hand."""
    manifest = read_manifest(webui)
    if not manifest:
        _uninstall_unrecorded(webui)
        return
    files.check_writable([*map(webui.at, manifest['files']), webui.settings])
    begin_uninstall(webui, manifest)
    remove_leftovers(webui, manifest)
    hook.remove(webui, manifest['files'])
    _remove_files(webui, manifest)
    gone = [path for path in map(webui.at, manifest['files']) if not os.path.lexists(path)]
    presets, templates = ([path.stem for path in gone if path.parent.name == folder] for folder in COPIED_FOLDERS)
    by_hand = [
        restore_settings(webui, manifest['settings'], presets, python),
        forget_models(webui, templates, python),
    ]
    if manifest['mode'] == 'copy' and not webui.extension.is_symlink():
        files.remove_caches(webui.extension)
    webui.manifests[manifest['mode']].unlink(missing_ok=True)
    files.remove_empty_folders(map(webui.at, manifest['folders']))
    finish(webui)
    if webui.extension.is_dir():
        print(f'Kept {webui.extension}, which was there before or holds files of your own.')
    print(f'{NAME} is uninstalled from {webui.root}.')
    if (cache := cache_folder()).is_dir():
        print(f'Kept {cache}, which holds what can be made again; delete it where no other webui uses it.')
    if any(by_hand):
        raise InstallError(' '.join(filter(None, by_hand)))


def _remove_files(webui: Webui, manifest: Manifest) -> None:
    """Deletes what has the content that install.py wrote; script.py first, without which a webui ignores the rest."""
    script = webui.rel(webui.extension / 'script.py')
    for rel in sorted(manifest['files'], key=lambda rel: rel != script):
        path = webui.at(rel)
        if path not in hook.paths(webui) and files.fingerprint(path) in manifest['files'][rel]:
            path.unlink()
        elif os.path.lexists(path):
            print(f'Kept {path}, which has been edited.')


def _uninstall_unrecorded(webui: Webui) -> None:
    """Cleans up where there is no manifest: nothing was installed, or its folder was deleted by hand."""
    remove_leftovers(webui, None)
    if os.path.lexists(webui.extension):
        if webui.extension.is_symlink() or not holds_nothing(webui.extension):
            raise InstallError(
                f'{webui.extension} was not put there by install.py or holds files of your own: delete it by hand.'
            )
        files.remove(webui.extension)
    known = known_hooks(webui)
    if any(os.path.lexists(webui.at(rel)) for rel in known):
        files.check_writable([webui.hook_module])
        hook.remove(webui, known)
        print(f'{webui.hook_module}: the start hook, all that was left of {NAME}, was removed.')
    print(f'{NAME} is not installed in {webui.root}.')
