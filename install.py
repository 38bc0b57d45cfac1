#!/usr/bin/env python3
"""Puts airoboros_gptq into a text-generation-webui and takes it out again; runs its demo and its tests.

    python install.py webui PATH [--enable] [--link]    install or upgrade; PATH holds the webui's server.py
    python install.py uninstall PATH                    leave the webui as it was before
    python install.py demo [--model-dir DIR] [--port N] [-- further arguments of the demo]
    python install.py test [--webui PATH] [-- arguments of pytest]

`webui` copies the extension, its presets and its instruction templates; --enable also lists it under
default_extensions in settings.yaml, --link makes links to this folder for those who work on it. A manifest remembers
what was written, so that files you edited are kept and everything else can be upgraded or removed.
`demo` and `test` make their own environment in .venv beside this file. Only the standard library is needed.
"""

import argparse
import ast
import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
NAME = 'airoboros_gptq'
COPIED_FOLDERS = 'presets', 'instruction-templates'
VENV = ROOT / '.venv'
# The newest release that was tried: one version for everybody, and pip must not pick another for us.
TORCH = 'torch==2.13.0'
# What the tests hold our reading of GPTQ against; it has wheels up to Python 3.11 only.
AUTO_GPTQ = 'auto-gptq==0.7.1'
NEEDED = {'torch': '2.3', 'transformers': '4.46', 'accelerate': '', 'safetensors': '', 'gradio': ''}
OPTIONAL = ('sentencepiece', 'peft')


class Stop(Exception):
    """One sentence for the user: what is wrong with which file, and the remedy."""


# ---------------------------------------------------------------- files


def fingerprint(path):
    """What stands at path: None, 'link:<where to>', a sha256, or 'folder'."""
    if path.is_symlink():
        return 'link:' + os.readlink(path).removeprefix('\\\\?\\')  # as Windows puts it
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return 'folder' if path.exists() else None


def temp_of(path):
    return path.with_name(f'.{path.name}.{NAME}.tmp')


def put(path, make):
    """Lets make(temp) create the new path, which then replaces the old one in one step: never half a file."""
    temp = temp_of(path)
    temp.unlink(missing_ok=True)
    try:
        make(temp)
        os.replace(temp, path)
    except OSError:
        temp.unlink(missing_ok=True)
        raise


def write(path, data):
    path = Path(os.path.realpath(path))  # a settings.yaml that is a link stays one

    def make(temp):
        temp.write_bytes(data)
        if path.exists():
            shutil.copymode(path, temp)

    put(path, make)


def check_writable(paths):
    """Says no before anything is written, rather than half way through."""
    for path in paths:
        folder = next(parent for parent in path.parents if parent.exists())
        if not folder.is_dir():
            raise Stop(f'{folder} is a file where a folder is expected: move it away and run this again.')
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Stop(f'{folder} cannot be written: run this as the user who owns it, or change its permissions.')


def remove_empty_folders(webui, folders):
    for rel in sorted(folders, key=len, reverse=True):
        folder = webui.at(rel)
        if folder.is_dir() and not folder.is_symlink() and all(p.name == '__pycache__' for p in folder.iterdir()):
            shutil.rmtree(folder)


# ---------------------------------------------------------------- the webui's folders


class Webui:
    """Where one webui keeps its things, decided by what its own source says, since old folders may lie around."""

    def __init__(self, path, user_data_dir=None):
        self.root = root = Path(os.path.abspath(os.path.expanduser(path)))
        portable = root / 'portable_env', root / 'app' / 'portable_env'
        self.portable = any(folder.is_dir() for folder in portable)
        if not ((root / 'server.py').is_file() and (root / 'modules').is_dir()) and not self.portable:
            what = 'is not a text-generation-webui' if root.is_dir() else 'is not a folder'
            raise Stop(f'{root} {what}: give the folder that holds server.py and modules/ of your webui.')
        self.data = root
        if user_data_dir:
            self.data = Path(os.path.abspath(os.path.expanduser(user_data_dir)))
        elif 'user_data' in self.source('server.py', 'modules/shared.py'):  # v3.1 and later
            above = root.parent / 'user_data'
            self.data = above if above.is_dir() and not (root / 'user_data').exists() else root / 'user_data'
        self.settings = self.data / 'settings.yaml'
        places = [self.data / 'extensions' / NAME, root / 'extensions' / NAME]
        lookup = self.source('modules/extensions.py', 'modules/utils.py')
        if not re.search(r'user_data(/|_dir\s*/\s*[\'"])extensions', lookup):  # before v3.7
            places.reverse()
        # An install made before the webui itself was upgraded is found where it is.
        self.extension = next((p for p in places if any(m.is_file() for m in manifest_paths(p).values())), places[0])

    def source(self, *names):
        files = [self.root / name for name in names]
        return '\n'.join(f.read_text('utf-8', 'replace') for f in files if f.is_file())

    def rel(self, path):
        try:
            return Path(os.path.relpath(path, self.root)).as_posix()
        except ValueError:  # another drive
            return str(path)

    def at(self, rel):
        return Path(os.path.normpath(self.root / rel))  # not left to the system: root may be a link, '..' would differ

    def default_extensions(self):
        """The list that holds while settings.yaml says nothing; writing the key would lose its entries."""
        found = re.search(r'[\'"]default_extensions[\'"]\s*:\s*(\[[^\]]*\])', self.source('modules/shared.py'))
        return ast.literal_eval(found.group(1)) if found else []

    def check_usable(self):
        if self.portable:
            raise Stop(
                f'{self.root} is a portable build, which runs llama.cpp models only: install the full webui '
                '(clone its repository and run its start script) and give its folder.'
            )
        if (self.root / 'characters' / 'instruction-following').is_dir():
            raise Stop(f'{self.root} is a webui older than v1.7, which knows no Jinja templates: update it first.')


# ---------------------------------------------------------------- the manifest


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
    write(manifest_paths(webui.extension)[manifest['mode']], text.encode())


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


# ---------------------------------------------------------------- settings.yaml, as text

ENTRY = r'(?:"[^"\\\n]+"|\'[^\'\n]+\'|\w(?:[\w .+/-]*[\w.+/-])?)'
OURS = rf'(?<![\w.+/-])(["\']?){NAME}\1(?![\w.+/-])'
END = r'[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)'
SKIP = r'(?:[ \t]*(?:#[^\n]*)?\r?\n)*'
LIST = re.compile(
    r'(?m)^\ufeff?(?P<key>(["\']?)default_extensions\2[ \t]*:)(?:'
    rf'(?:(?P<flow>[ \t]*\[\s*(?:{ENTRY}\s*(?:,\s*{ENTRY}\s*)*,?\s*)?\])|(?P<empty>[ \t]*(?:~|null)?)(?!\S)){END}'
    rf'(?!{SKIP}[ \t-])'  # nothing more belongs to the value
    rf'|{END}{SKIP}(?P<block>(?P<indent>[ ]*)-[ \t]+{ENTRY}{END}(?:{SKIP}(?P=indent)-[ \t]+{ENTRY}{END})*)'
    rf'(?!{SKIP}[ \t-]))'
)
LINE = re.compile(r'\ufeff?(?:[ \t#]|$|-(?:[ \t]|$)|(?:"[^"]*"|\'[^\']*\'|\w[^\r]*?)[ \t]*:(?:[ \t]|$))[^\r]*$')


def find_list(data):
    """The text and where its default_extensions are (None if it has none); ValueError says why it is not understood."""
    text = data.decode('utf-8')
    found = LIST.search(text)
    others = text[: found.start()] + text[found.end() :] if found else text
    others = re.sub(rf'\A\ufeff?({SKIP})---[ \t]*(\r?\n|\Z)', r'\1', others)
    strange = next((line for line in re.split(r'\r?\n', others) if not LINE.match(line)), None)
    if strange or re.match(rf'{SKIP}[ \t-]', others):
        raise ValueError(f'the line {(strange or others)[:40]!r} is no setting')
    if re.search(r'(?m)^\ufeff?["\']?default_extensions["\']?[ \t]*:', others):
        raise ValueError('its default_extensions is not one plain list of names')
    return text, found


def entries(found):
    value = re.sub(r'#.*', '', found['flow'] or found['block'] or '')
    return [entry.strip('"\'') for entry in re.findall(rf'(?<![\w.+/-]){ENTRY}', value)]


def add_ours(data, defaults):
    text, found = find_list(data)
    eol = '\r\n' if '\r\n' in text else '\n'
    if found and NAME in entries(found):
        return data
    if not found or found['block']:
        at = found.end('block') if found else len(text)
        bullet = re.match(r' *-[ \t]+', found['block']).group() if found else '- '
        new = eol.join(
            ([] if found else ['default_extensions:', *(f'- {name}' for name in defaults)]) + [bullet + NAME]
        )
        new = eol + new if at and text[at - 1] != '\n' else new + eol
    elif found['flow']:
        last = list(re.finditer(ENTRY, found['flow']))[-1:]
        at = found.start('flow') + (last[0].end() if last else found['flow'].index('[') + 1)
        new = f', {NAME}' if last else NAME
    else:
        text = text[: found.start('empty')] + text[found.end('empty') :]
        at, new = found.start('empty'), f' [{NAME}]'
    return (text[:at] + new + text[at:]).encode('utf-8')


def drop_ours(data, droppable):
    """Takes our entry out, and the whole key where no more than droppable would be left of the list."""
    text, found = find_list(data)
    if not found or NAME not in entries(found):
        return data
    left = [entry for entry in entries(found) if entry != NAME]
    if left == droppable:
        text = text[: found.start('key')] + text[found.end() :]
    elif found['flow']:
        flow = re.sub(rf'{OURS}\s*,\s*|,?\s*{OURS}'.replace(r'\1', '["\']?'), '', found['flow'], count=1)
        text = text[: found.start('flow')] + flow + text[found.end('flow') :]
    else:
        block = re.sub(rf'(?m)^ *-[ \t]+(["\']?){NAME}\1{END}', '', found['block'], count=1)
        head = text[: found.end('key')] + ('' if left else ' []') + text[found.end('key') : found.start('block')]
        text = head + block + text[found.end('block') :]
    return text.encode('utf-8')


def drop_dead_models(data, templates):
    """A config-user.yaml without what fails once we are gone: our loader (a KeyError) and our templates (a warning)."""
    named = [r'loader:[ \t]*["\']?airoboros']
    named += [rf'instruction_template:[ \t]*["\']?{re.escape(t)}(?:["\'\s]|\Z)' for t in templates]
    dead = rf'(?mi)^[ \t]+(?:{"|".join(named)})[^\n]*(?:\n|\Z)'
    out = []
    for section in re.split(r'(?m)^(?=\S)', data.decode('latin-1')):  # whatever the encoding, the bytes stay
        kept = re.sub(dead, '', section)
        # A model left without any setting would be null, at which the webui stops.
        out.append(kept if kept == section or re.search(r'(?m)^[ \t]+\S', kept) else '')
    return ''.join(out).encode('latin-1') if ''.join(out).strip() or not data.strip() else None


# ---------------------------------------------------------------- install


def source_files(webui, link):
    """What an install consists of: relative path -> (source, its fingerprint there)."""
    extension = ROOT / 'extensions' / NAME
    inside = [p for p in extension.rglob('*') if p.is_file() and p.suffix != '.pyc']
    inside = [p for p in inside if not any(part.startswith(('.', '__pycache__')) for part in p.relative_to(ROOT).parts)]
    if not inside:
        raise Stop(f'{extension} is missing or empty: run install.py from a complete copy of the project.')
    copies = [(webui.extension / p.relative_to(extension), p) for p in inside]
    pairs = [(webui.extension, extension)] if link else copies
    for folder in COPIED_FOLDERS:
        pairs += [(webui.data / folder / p.name, p) for p in (ROOT / folder).glob('*.yaml')]
    return {webui.rel(to): (p, f'link:{p}' if link else fingerprint(p)) for to, p in sorted(pairs)}


def links_permitted(folder):
    folder = next(parent for parent in [folder, *folder.parents] if parent.is_dir())
    try:
        put(folder / f'.{NAME}.probe', lambda temp: temp.symlink_to(ROOT))
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
    """(files of the new manifest, to write, to remove, kept as they are); ours is what has a hash that we wrote."""
    files, writes, removals, kept = {}, [], [], []
    for rel in sorted({*wanted, *known}):
        have, ours = fingerprint(webui.at(rel)), known.get(rel, [])
        mark = wanted[rel][1] if rel in wanted else None
        if mark and have == mark:
            files.update({rel: [mark]} if ours else {})  # the same thing was there before us: not ours to remove
        elif mark and (have is None or have in ours):
            files[rel] = [mark]
            writes.append(rel)
        elif have in ours:
            removals.append(rel)
        elif have is not None:
            kept.append(rel)
            files.update({rel: ours} if ours else {})
    return files, writes, removals, kept


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


def install(webui, link=False, enable=False):
    """Installs or upgrades; returns the Stop that says why settings.yaml could not be changed, if it could not."""
    webui.check_usable()
    check_writable([webui.extension])
    link = link and (webui.extension.is_symlink() or links_permitted(webui.extension.parent))
    manifest = start_manifest(webui, link)
    wanted = source_files(webui, link)
    files, writes, removals, kept = compare(webui, wanted, manifest['files'])
    check_writable([webui.at(rel) for rel in writes + removals] + [webui.settings] * enable)
    failed = None
    final = {**manifest, 'files': files}
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
        either = {rel: [*files.get(rel, []), *manifest['files'].get(rel, [])] for rel in {*files, *manifest['files']}}
        manifest_paths(webui.extension)[final['mode']].parent.mkdir(parents=True, exist_ok=True)
        write_manifest(webui, {**final, 'files': either})
        apply(webui, wanted, writes, removals, link)
        if before != after:
            write(webui.settings, after)
        remove_empty_folders(webui, final['folders'] if removals else [])
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
            put(target, lambda temp, source=source: temp.symlink_to(source, source.is_dir()))
        else:
            write(target, source.read_bytes())
    for rel in removals:
        webui.at(rel).unlink()


# ---------------------------------------------------------------- uninstall


def uninstall(webui):
    manifest = read_manifest(webui)
    if not manifest:
        if os.path.lexists(webui.extension):
            raise Stop(f'{webui.extension} was not put there by install.py or holds your own files: delete it by hand.')
        print(f'{NAME} is not installed in {webui.root}, so nothing was changed.')
        return
    check_writable([*(webui.at(rel) for rel in manifest['files']), webui.settings])
    for rel, ours in manifest['files'].items():
        path = webui.at(rel)
        temp_of(path).unlink(missing_ok=True)
        if fingerprint(path) in ours:
            path.unlink()
        elif os.path.lexists(path):
            print(f'Kept {path}, which has been edited.')
    gone = [path for path in map(webui.at, manifest['files']) if not os.path.lexists(path)]
    presets, templates = ([path.stem for path in gone if path.parent.name == folder] for folder in COPIED_FOLDERS)
    failed = restore_settings(webui, manifest['settings'], presets)
    edit(webui.data / 'models' / 'config-user.yaml', lambda data: drop_dead_models(data, templates))
    if manifest['mode'] == 'copy':
        for cache in list(webui.extension.rglob('__pycache__')):
            shutil.rmtree(cache)
    manifest_paths(webui.extension)[manifest['mode']].unlink()
    remove_empty_folders(webui, manifest['folders'])
    if webui.extension.is_dir():
        print(f'Kept {webui.extension}, which was there before or holds files that are not ours.')
    print(f'{NAME} is uninstalled from {webui.root}.')
    if failed:
        raise failed


def edit(path, change):
    """Rewrites an existing file as change(bytes) says, deletes it if that is None; says so."""
    if not path.exists():
        return
    data = path.read_bytes()
    new = change(data)
    if new != data:
        path.unlink() if new is None else write(path, new)
        print(f'{path}: what named {NAME} was taken out.')


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
        edit(webui.settings, change)
    except ValueError as error:
        return Stop(f'{webui.settings} was left alone, as {error}: take {NAME} out of its default_extensions.')
    return None


# ---------------------------------------------------------------- the webui's environment

PROBE = """
import importlib.metadata as m, json, sys
found = {'python': '.'.join(map(str, sys.version_info[:3]))}
for name in sys.argv[1:]:
    try: found[name] = m.version(name) or '0'
    except m.PackageNotFoundError: pass
print(json.dumps(found))
"""


def in_env(folder):
    """The Python of a virtual or conda environment."""
    for rel in ('bin/python', 'bin/python3', 'python.exe', 'Scripts/python.exe'):
        if (folder / rel).exists():
            return folder / rel
    return None


def find_python(webui):
    for name in ('installer_files/env', 'venv', '.venv'):
        if in_env(webui.root / name):
            return in_env(webui.root / name), ''
    active = os.environ.get('VIRTUAL_ENV') or os.environ.get('CONDA_PREFIX')
    return (in_env(Path(active)) if active else None), ' (the active environment, as the webui has none of its own)'


def at_least(version, least):
    numbers = [[int(n) for n in re.findall(r'\d+', v.split('+')[0])[:2]] for v in (version, least)]
    return numbers[0] >= numbers[1]


def check_environment(python, remark):
    """Looks, changes nothing, stops nothing."""
    if not python:
        print('Environment not checked: no Python of this webui was found; --python names one.')
        return
    try:
        command = [str(python), '-I', '-c', PROBE, *NEEDED, *OPTIONAL]
        found = json.loads(subprocess.run(command, capture_output=True, timeout=120, check=True).stdout)
        old = not at_least(found['python'], '3.10')
    except (OSError, ValueError, TypeError, KeyError, subprocess.SubprocessError):
        print(f'Environment not checked: {python} does not answer as a Python does.')
        return
    lacks = [f'{n}>={v}' if v else n for n, v in NEEDED.items() if n not in found or (v and not at_least(found[n], v))]
    versions = ', '.join(f'{name} {version}' for name, version in found.items())
    if old or lacks:
        what = ', '.join(['python>=3.10'] * old + lacks)
        print(f'{python}{remark} lacks {what} (it has {versions}): update the webui.', file=sys.stderr)
    else:
        print(f'Environment: {python}{remark} has all that is needed: {versions}.')


# ---------------------------------------------------------------- demo and test


def clean_environ(**more):
    """Ours without what would lead another Python to other packages, or pip to install them elsewhere."""
    drop = r'PYTHON(PATH|HOME|STARTUP|USERBASE|SAFEPATH)|PIP_(TARGET|PREFIX|ROOT|PYTHON|REQUIRE_VIRTUALENV)|__PYVENV.*'
    kept = {name: value for name, value in os.environ.items() if not re.fullmatch(drop, name)}
    return {**kept, 'PYTHONNOUSERSITE': '1', 'PIP_USER': '0', **more}


def call(*command, env=None):
    """Runs a command where we stand; its exit code. After Ctrl+C it may end in its own way first."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, env=env or clean_environ())
    try:
        return process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


def stamp(extras):
    """What .venv was made from, so that nothing is installed twice."""
    source = (ROOT / 'pyproject.toml').read_bytes() + TORCH.encode()
    return {'from': hashlib.sha256(source).hexdigest(), 'extras': sorted(extras)}


def is_ready(stamp_file, extras):
    try:
        have = json.loads(stamp_file.read_text('utf-8'))
        works = subprocess.run([str(in_env(VENV)), '-I', '-c', ''], capture_output=True).returncode == 0
        return works and have['from'] == stamp([])['from'] and set(extras) <= set(have['extras'])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def environment(extras):
    """The Python of .venv with the project and its extras, made or brought up to date where needed."""
    stamp_file = VENV / '.made-by-install.json'
    if is_ready(stamp_file, extras):
        return in_env(VENV)
    if VENV.exists() and any(VENV.iterdir()) and not stamp_file.exists():
        raise Stop(f'{VENV} was not made by install.py: move it away or delete it, then run this again.')
    if not importlib.util.find_spec('venv') or not importlib.util.find_spec('ensurepip'):
        raise Stop(f'{sys.executable} cannot make environments: on Debian and Ubuntu run apt install python3-venv.')
    if not (in_env(VENV) and call(in_env(VENV), '-I', '-m', 'pip', '--version') == 0):
        print(f'Making {VENV}.', flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir()
        stamp_file.write_text('{}')
        if call(sys.executable, '-I', '-m', 'venv', VENV):
            raise Stop(f'{VENV} could not be made, see above: on Debian and Ubuntu apt install python3-venv may help.')
    stamp_file.write_text('{}')
    for what in ([TORCH], ['-e', f'.[{",".join(extras)}]']):
        if call(in_env(VENV), '-I', '-m', 'pip', 'install', *what):
            raise Stop(f'pip could not install {what[-1]} into {VENV}, see above: mend that and run this again.')
    if 'test' in extras and call(
        in_env(VENV), '-I', '-m', 'pip', 'install', '-q', '--no-deps', '--only-binary=:all:', AUTO_GPTQ
    ):
        print(f'{AUTO_GPTQ} cannot be had for this Python: the tests that hold us against it will skip themselves.')
    stamp_file.write_text(json.dumps(stamp(extras)))
    return in_env(VENV)


def run_demo(args, rest):
    python = environment(['demo'])
    port = ['--port', str(args.port)] if args.port is not None else []
    model_dir = os.path.abspath(args.model_dir)
    return call(python, '-m', NAME, 'demo', '--model-dir', model_dir, *port, *rest)


def find_chromium():
    named = os.environ.get('CHROMIUM')
    if named and not shutil.which(named):
        raise Stop(f'{named}, which CHROMIUM names, is no program: correct or unset that variable.')
    names = [named] if named else ['chromium', 'chromium-browser', 'google-chrome', '/usr/bin/chromium']
    return next((found for found in map(shutil.which, names) if found), None)


def get_chromium(python):
    """A browser for the panel's tests; None leaves the choice to playwright's own."""
    if not find_chromium() and shutil.which('apt-get') and hasattr(os, 'geteuid') and os.geteuid() == 0:
        call('apt-get', 'update') or call('apt-get', 'install', '-y', 'chromium')
    if not find_chromium() and call(python, '-m', 'playwright', 'install', 'chromium'):
        print('No Chromium could be had: install one, or name it in CHROMIUM, to run the tests that need a browser.')
    return find_chromium()


def run_tests(args, rest):
    more = {}
    if args.webui:
        webui = Webui(args.webui)
        webui.check_usable()
        more['AIROBOROS_WEBUI'] = str(webui.root)
    python = environment(['demo', 'test'])
    chromium = get_chromium(python)
    env = clean_environ(**more, **({'CHROMIUM': chromium} if chromium else {}))
    for command in (['ruff', 'check'], ['ruff', 'format', '--check'], ['pytest', '-ra', *rest]):
        code = call(python, '-m', *command, env=env)
        if code:
            return code
    return 0


# ---------------------------------------------------------------- the command line


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True, metavar='{webui,uninstall,demo,test}')
    parsers = {name: commands.add_parser(name) for name in ('webui', 'uninstall', 'demo', 'test')}
    for name in ('webui', 'uninstall'):
        parsers[name].add_argument('path', metavar='PATH', help='the folder of the webui that holds server.py')
        parsers[name].add_argument('--user-data-dir', metavar='DIR', help='as given to the webui, if it is')
    parsers['webui'].add_argument('--link', action='store_true', help='make links to this folder instead of copies')
    parsers['webui'].add_argument('--enable', action='store_true', help='add it to default_extensions in settings.yaml')
    parsers['webui'].add_argument('--python', metavar='EXE', help="the webui's Python, if it is not found")
    parsers['demo'].add_argument('--model-dir', metavar='DIR', default=ROOT / 'tests' / 'models')
    parsers['demo'].add_argument('--port', metavar='N', type=int)
    parsers['test'].add_argument('--webui', metavar='PATH', help='also test inside this webui')
    cut = argv.index('--') if '--' in argv else len(argv)
    args, rest = parser.parse_args(argv[:cut]), argv[cut + 1 :]
    if rest and args.command in ('webui', 'uninstall'):
        parser.error(f'{args.command} takes no further arguments')
    return args, rest


def main(argv):
    args, rest = parse(argv)
    if args.command in ('demo', 'test'):
        return {'demo': run_demo, 'test': run_tests}[args.command](args, rest)
    webui = Webui(args.path, args.user_data_dir)
    if args.command == 'uninstall':
        uninstall(webui)
        return 0
    failed = install(webui, args.link, args.enable)
    check_environment(*((args.python, '') if args.python else find_python(webui)))
    if failed:
        raise failed
    return 0


if __name__ == '__main__':
    if sys.version_info < (3, 10):  # noqa: UP036 - said here, as nobody else says it
        sys.exit('install.py needs Python 3.10 or newer, this is {}.{}.'.format(*sys.version_info))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print()
        sys.exit(130)
    except Stop as stop:
        sys.exit(str(stop))
    except OSError as error:
        sys.exit(f'{error.filename or ROOT}: {error.strerror}: see to that and run this again.')
