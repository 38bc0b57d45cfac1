"""Installs or upgrades the extension in a webui.

Everything is written beside its target first; then the targets change by renames alone. So a full disk changes nothing,
and a webui that starts in between finds the old extension, the new one or none, but never a mixture: script.py is deleted
first and comes back last, and a webui ignores a folder without it. The start hook and the settings follow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from . import NAME, ROOT, InstallError, files, hook, read_version
from .leftovers import holds_nothing, remove_leftovers
from .manifest import Manifest, begin, dump, encode, finish, is_unfinished, read_manifest
from .payload import HOOK_ENTRY, Part, can_have_hook, find_parts, known_hooks
from .report import report_install
from .saved_settings import plan_enable
from .webui_tree import Webui


@dataclass
class Plan:
    """What to do with each path, relative to the webui."""

    writes: list[str]
    removals: list[str]
    kept: list[str]  # not written by install.py, or edited since
    records: dict[str, list[str]]  # Manifest.files afterwards


def install(
    webui: Webui, link: bool = False, enable: bool = False, with_hook: bool = True, python: str | None = None
) -> InstallError | None:
    """Installs or upgrades. Returns the error that says why settings.yaml was left alone, if it was.

    link: links to this project in place of copies. enable: list it in settings.yaml. with_hook: with the start hook.
    python: the webui's Python, where it is not found. Raises InstallError before anything is changed, OSError too
    where files could not be written.
    """
    webui.check_usable()
    files.check_writable([webui.extension])
    link = link and (webui.extension.is_symlink() or _can_link(webui))
    previous = _previous(webui, 'link' if link else 'copy')
    known = previous['files']
    with_hook = with_hook and (can_have_hook(webui) or webui.rel(webui.hook_module) in known)
    parts = find_parts(webui, link, with_hook)
    plan = _compare(webui, parts, known)
    files.check_writable([webui.at(rel) for rel in plan.writes + plan.removals] + [webui.settings] * enable)
    before = after = failed = None
    try:
        before, after = plan_enable(webui, python) if enable else (None, None)
    except InstallError as error:
        failed = error
    final = _final(webui, previous, plan, before, after)
    unfinished = is_unfinished(webui)
    if final != previous or plan.writes or plan.removals or before != after or unfinished:
        _carry_out(webui, parts, plan, previous, final, after if before != after else None)
    report_install(webui, plan, previous['version'], enable and not failed, before != after, with_hook)
    return failed


def _previous(webui: Webui, mode: str) -> Manifest:
    """The manifest of what is installed; an empty one where nothing is."""
    manifest = read_manifest(webui)
    if manifest and manifest['mode'] != mode:
        raise InstallError(
            f'{webui.extension} was installed as a {manifest["mode"]}: uninstall it first to have a {mode} instead.'
        )
    place = webui.extension
    if not manifest and os.path.lexists(place) and (place.is_symlink() or mode == 'link' or not holds_nothing(place)):
        raise InstallError(f'{place} was not put there by install.py: move it away or delete it, then run this again.')
    empty: Manifest = {
        'mode': mode,
        'version': '',
        'extension': webui.rel(place),
        'files': {},
        'folders': [],
        'settings': None,
    }
    return manifest or empty


def _compare(webui: Webui, parts: dict[str, Part], known: dict[str, list[str]]) -> Plan:
    """Decides by fingerprints: a file is replaced or deleted only where its content is what install.py wrote."""
    plan = Plan([], [], [], {})
    hooks = known_hooks(webui)
    for rel in sorted({*parts, *known}):
        have, ours = files.fingerprint(webui.at(rel)), known.get(rel, []) + hooks.get(rel, [])
        wanted = parts[rel].fingerprint if rel in parts else None
        if wanted and have == wanted:
            plan.records |= {rel: [wanted]} if ours else {}  # the same file was there before: uninstall leaves it
        elif wanted and (have is None or have in ours):
            plan.records[rel] = [wanted]
            plan.writes.append(rel)
        elif have in ours:
            plan.removals.append(rel)
        elif have is not None:
            plan.kept.append(rel)
            plan.records |= {rel: ours} if ours else {}
    _keep_edited_hook(webui, plan, known, hooks)
    script = webui.rel(webui.extension / 'script.py')
    inside = [rel for rel in plan.writes + plan.removals if webui.at(rel).is_relative_to(webui.extension)]
    if inside and script in plan.records and script in parts and script not in plan.writes + plan.kept:
        plan.writes.append(script)  # it goes while the others are replaced
    return plan


def _keep_edited_hook(webui: Webui, plan: Plan, known: dict[str, list[str]], hooks: dict[str, list[str]]) -> None:
    """Leaves the .dist-info folder as it is where somebody has changed it: it is replaced as a whole or not at all."""
    entry = [webui.rel(webui.hook_entry / name) for name in HOOK_ENTRY]
    if hook.is_whole(webui, {rel: known.get(rel, []) + hooks[rel] for rel in entry}):
        return
    for rel in entry:
        if rel in plan.writes:
            plan.writes.remove(rel)
            plan.kept.append(rel)
            plan.records[rel] = known.get(rel, [])


def _final(webui: Webui, previous: Manifest, plan: Plan, before: bytes | None, after: bytes | None) -> Manifest:
    """The manifest once all is done."""
    made = {folder for rel in plan.writes for folder in webui.at(rel).parents if not folder.exists()}
    in_use = {webui.rel(folder) for rel in plan.records for folder in webui.at(rel).parents}
    folders = {*previous['folders'], *map(webui.rel, made)} & in_use
    final: Manifest = {**previous, 'version': read_version(), 'files': plan.records, 'folders': sorted(folders)}
    if before != after:
        final['settings'] = {'before': encode(before), 'after': encode(after)}
    return final


def _carry_out(
    webui: Webui, parts: dict[str, Part], plan: Plan, previous: Manifest, final: Manifest, settings: bytes | None
) -> None:
    """Writes the journal, stages everything, then commits it. What cannot be staged leaves the webui as it was."""
    either = {
        rel: [*final['files'].get(rel, []), *previous['files'].get(rel, [])]
        for rel in {*final['files'], *previous['files']}
    }
    union: Manifest = {**final, 'files': either, 'folders': sorted({*final['folders'], *previous['folders']})}
    unfinished = is_unfinished(webui)
    remove_leftovers(webui, previous)
    begin(webui, union)
    try:
        _stage(webui, parts, plan, final, settings)
    except BaseException:
        remove_leftovers(webui, union)
        files.remove_empty_folders(webui.at(rel) for rel in set(final['folders']) - set(previous['folders']))
        if not unfinished:
            finish(webui)
        raise
    _commit(webui, plan, previous, final, settings)
    finish(webui)


def _stage(webui: Webui, parts: dict[str, Part], plan: Plan, final: Manifest, settings: bytes | None) -> None:
    entry = {webui.rel(webui.hook_entry / name) for name in HOOK_ENTRY}
    for rel in plan.writes:
        if rel in entry:
            continue
        target, source = webui.at(rel), parts[rel].source
        target.parent.mkdir(parents=True, exist_ok=True)
        if parts[rel].is_link:
            files.stage_link(target, source)
        else:
            files.stage_bytes(target, source.read_bytes())
    if entry & set(plan.writes):
        hook.stage_entry(webui, parts)
    if settings is not None:
        files.stage_bytes(_settings(webui), settings)
    files.stage_bytes(webui.manifests[final['mode']], dump(final))


def _commit(webui: Webui, plan: Plan, previous: Manifest, final: Manifest, settings: bytes | None) -> None:
    script, module = webui.extension / 'script.py', webui.hook_module
    entry = {webui.hook_entry / name for name in HOOK_ENTRY}
    writes, removals = ([webui.at(rel) for rel in rels] for rels in (plan.writes, plan.removals))
    if script in writes + removals:
        script.unlink(missing_ok=True)
    for target in writes:
        if target not in (script, module, *entry):
            files.commit(target)
    if {module, *entry} & set(removals):
        hook.remove(webui, previous['files'])
    for target in removals:
        if target not in (module, *entry):
            target.unlink(missing_ok=True)
    if (writes or removals) and final['mode'] == 'copy':
        files.remove_caches(webui.extension)
    files.remove_empty_folders(map(webui.at, previous['folders']))
    if script in writes:
        files.commit(script)
    if module in writes:
        hook.remove_compiled(webui)
        files.commit(module)
    if entry & set(writes):
        hook.commit_entry(webui)
    if settings is not None:
        files.commit(_settings(webui))
    files.commit(webui.manifests[final['mode']])


def _settings(webui: Webui) -> Path:
    return Path(os.path.realpath(webui.settings))  # where it is a link, that stays


def _can_link(webui: Webui) -> bool:
    """Tries whether symbolic links can be made where the extension goes."""
    folder = next(parent for parent in webui.extension.parents if parent.is_dir())
    try:
        files.stage_link(folder / NAME, ROOT)
        files.remove(files.temp_path(folder / NAME))
        return True
    except (OSError, NotImplementedError) as error:
        print(f'Links cannot be made in {folder} ({error}), so files are copied instead.')
        return False
