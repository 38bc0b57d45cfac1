"""Copies (or links) of the extension, presets and templates: into a webui, up to date, and out again."""

import os
import shutil

from . import NAME, ROOT, Stop, files
from .files import fingerprint
from .manifest import encode, manifest_paths, read_manifest, write_manifest
from .saved_settings import drop_dead_models, plan_settings, restore_settings

# What goes into the webui's own folders of the same names.
TEMPLATES = 'instruction-templates'
COPIED_FOLDERS = 'presets', TEMPLATES
# Of no use inside a webui: this package, and the page that stands in for a webui.
NOT_COPIED = ('demo',)
# Beside server.py, where Python finds it: what lets the webui start with --model. See airoboros_gptq_early.py.
EARLY = f'{NAME}_early'
EARLY_FILES = {
    f'{EARLY}.py': f'{EARLY}.py',
    'METADATA': f'{EARLY}-1.dist-info/METADATA',
    'entry_points.txt': f'{EARLY}-1.dist-info/entry_points.txt',
}


def source_files(webui, link):
    """What an install consists of: relative path -> (source, its fingerprint there)."""
    extension = ROOT / 'extensions' / NAME
    inside = [p for p in extension.rglob('*') if p.is_file() and p.suffix != '.pyc']
    inside = [p for p in inside if not any(part.startswith(('.', '__pycache__')) for part in p.relative_to(ROOT).parts)]
    inside = [p for p in inside if p.relative_to(extension).parts[0] not in NOT_COPIED]
    if extension / 'script.py' not in inside:
        raise Stop(f'{extension} is not complete: run install.py from a complete copy of the project.')
    copies = [(webui.extension / p.relative_to(extension), p) for p in inside]
    pairs = [(webui.extension, extension)] if link else copies
    for folder in COPIED_FOLDERS:
        pairs += [(webui.data / folder / p.name, p) for p in (ROOT / folder).glob('*.yaml')]
    if not link:  # the extension takes its templates from its own copies: the webui had a wrong one of the same name
        pairs += [(webui.extension / TEMPLATES / p.name, p) for p in (ROOT / TEMPLATES).glob('*.yaml')]
    if os.access(webui.root, os.W_OK):
        pairs += [(webui.root / to, ROOT / 'installer' / 'start_hook' / p) for p, to in EARLY_FILES.items()]
    return {webui.rel(to): (p, f'link:{p}' if link else fingerprint(p)) for to, p in sorted(pairs)}


def links_permitted(folder):
    folder = next(parent for parent in [folder, *folder.parents] if parent.is_dir())
    try:
        files.put(folder / f'.{NAME}.probe', lambda temp: temp.symlink_to(ROOT))
        (folder / f'.{NAME}.probe').unlink()
        return True
    except (OSError, NotImplementedError) as error:
        print(f'Links cannot be made in {folder} ({error}), so copies are made instead.')
        return False


def start_manifest(webui, link):
    mode = 'link' if link else 'copy'
    manifest = read_manifest(webui)
    if manifest and manifest['mode'] != mode:
        raise Stop(f'{webui.extension} is a {manifest["mode"]} of ours: uninstall it first to have a {mode} instead.')
    there = webui.extension
    empty = not link and there.is_dir() and all(p.name == '__pycache__' for p in there.iterdir())
    if not manifest and os.path.lexists(there) and (there.is_symlink() or not empty):
        raise Stop(f'{there} was not put there by install.py: move it away or delete it, then run this again.')
    return manifest or {'mode': mode, 'files': {}, 'folders': [], 'settings': None}


def compare(webui, wanted, known):
    """(records of the new manifest, to write, to remove, kept as they are); ours is what has a hash that we wrote."""
    records, writes, removals, kept = {}, [], [], []
    for rel in sorted({*wanted, *known}):
        have, ours = fingerprint(webui.at(rel)), known.get(rel, [])
        mark = wanted[rel][1] if rel in wanted else None
        if mark and have == mark:
            records.update({rel: [mark]} if ours else {})  # the same thing was there before us: not ours to remove
        elif mark and (have is None or have in ours):
            records[rel] = [mark]
            writes.append(rel)
        elif have in ours:
            removals.append(rel)
        elif have is not None:
            kept.append(rel)
            records.update({rel: ours} if ours else {})
    return records, writes, removals, kept


def install(webui, link=False, enable=False):
    """Installs or upgrades; returns the Stop that says why settings.yaml could not be changed, if it could not."""
    webui.check_usable()
    files.check_writable([webui.extension])
    link = link and (webui.extension.is_symlink() or links_permitted(webui.extension.parent))
    manifest = start_manifest(webui, link)
    wanted = source_files(webui, link)
    known = manifest['files']
    records, writes, removals, kept = compare(webui, wanted, known)
    files.check_writable([webui.at(rel) for rel in writes + removals] + [webui.settings] * enable)
    failed = None
    final = {**manifest, 'files': records}
    before = after = None
    try:
        before, after = plan_settings(webui) if enable else (None, None)
    except Stop as stop:
        failed = stop
    if before != after:
        final['settings'] = {'before': encode(before), 'after': encode(after)}
    parents = {folder for rel in writes for folder in webui.at(rel).parents if not folder.exists()}
    final['folders'] = sorted({*manifest['folders'], *map(webui.rel, parents)})
    if final != manifest or writes or removals:
        # Before any file, and with the old hashes too: an install cut short can be finished or uninstalled.
        either = {rel: [*records.get(rel, []), *known.get(rel, [])] for rel in {*records, *known}}
        manifest_paths(webui.extension)[final['mode']].parent.mkdir(parents=True, exist_ok=True)
        write_manifest(webui, {**final, 'files': either})
        apply(webui, wanted, writes, removals, link)
        if before != after:
            files.write(webui.settings, after)
        files.remove_empty_folders(map(webui.at, final['folders'] if removals else []))
        final['folders'] = [rel for rel in final['folders'] if webui.at(rel).is_dir()]
        write_manifest(webui, final)
    report(webui, link, len(writes), len(removals), kept)
    if enable and not failed:
        print(f'{webui.settings}: {"enabled" if before != after else "already enabled"}.')
    elif writes:
        print(f'To use it, start the webui with --extensions {NAME}, or run this again with --enable.')
    return failed


def report(webui, link, writes, removals, kept):
    changed = f'{writes} {"links" if link else "files"} written, {removals} removed' if writes or removals else ''
    print(f'{webui.extension}: {changed or "already installed, nothing to do"}.')
    for rel in kept:
        print(f'Kept {webui.at(rel)}, which was there before or has been edited.')


def apply(webui, wanted, writes, removals, link):
    for rel in writes:
        source, target = wanted[rel][0], webui.at(rel)
        target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            files.put(target, lambda temp, source=source: temp.symlink_to(source, source.is_dir()))
        else:
            files.write(target, source.read_bytes())
    for rel in removals:
        webui.at(rel).unlink()


def uninstall(webui):
    manifest = read_manifest(webui)
    if not manifest:
        if os.path.lexists(webui.extension):
            raise Stop(f'{webui.extension} was not put there by install.py or holds your own files: delete it by hand.')
        print(f'{NAME} is not installed in {webui.root}, so nothing was changed.')
        return
    files.check_writable([*(webui.at(rel) for rel in manifest['files']), webui.settings])
    for rel, ours in manifest['files'].items():
        path = webui.at(rel)
        files.temp_of(path).unlink(missing_ok=True)
        if fingerprint(path) in ours:
            path.unlink()
        elif os.path.lexists(path):
            print(f'Kept {path}, which has been edited.')
    gone = [path for path in map(webui.at, manifest['files']) if not os.path.lexists(path)]
    presets, templates = ([path.stem for path in gone if path.parent.name == folder] for folder in COPIED_FOLDERS)
    failed = restore_settings(webui, manifest['settings'], presets)
    files.edit(webui.data / 'models' / 'config-user.yaml', lambda data: drop_dead_models(data, templates))
    if manifest['mode'] == 'copy':
        for cache in list(webui.extension.rglob('__pycache__')):
            shutil.rmtree(cache)
    compiled = webui.root / '__pycache__'
    for cache in compiled.glob(f'{EARLY}.*'):
        cache.unlink()
    if compiled.is_dir() and not any(compiled.iterdir()):
        compiled.rmdir()
    manifest_paths(webui.extension)[manifest['mode']].unlink()
    files.remove_empty_folders(map(webui.at, manifest['folders']))
    if webui.extension.is_dir():
        print(f'Kept {webui.extension}, which was there before or holds files that are not ours.')
    print(f'{NAME} is uninstalled from {webui.root}.')
    if failed:
        raise failed
