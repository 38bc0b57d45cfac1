"""Kills install.py at every file event, and fills the disk at every write; then checks that the webui still lives.

    python tools/kill_install.py [--every N] [--pairs N] [--seed N] [--project DIR]

After each of these, `import torch` must find no entry point that fails, the extension must be whole, old or absent as a
webui sees it, and settings.yaml must be the one from before or the one from after. Then two copies go on: one uninstalls,
and must be byte for byte what it was before the first install; the other installs again, must be what an undisturbed run
makes, and uninstalls. --every takes every Nth event, --pairs adds so many runs that are killed twice.
Prints a line per scenario, and what went wrong; the exit code is 1 if anything did. Linux and macOS only.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import importlib.metadata
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import installer
from installer import check_environment, install, payload, saved_settings, uninstall
from installer.webui_tree import Webui

NAME = installer.NAME
SETTINGS = b'# mine\r\ndefault_extensions:\r\n- gallery\r\nmode: chat\r\n'
CHANGES = {'os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.symlink', 'os.chmod'}
NEEDS_SPACE = {'os.rename', 'os.mkdir', 'os.symlink'}
Snapshot = dict[str, bytes | str]
Action = Callable[[Path], object]
Points = Callable[[range], Iterable[int]]


@dataclass
class Scenario:
    """`prepare` makes the state in which `action` is disturbed; both take the webui's folder."""

    name: str
    prepare: list[Action]
    action: Action
    again: Action  # an install that finishes it
    settings: bytes | None = None
    events: int = 0
    runs: int = 0
    failures: list[str] = field(default_factory=list)


def snapshot(root: Path) -> Snapshot:
    """Every path below a folder with its bytes, where it links to, or 'folder'."""
    found: Snapshot = {}
    for path in sorted(root.rglob('*')):
        content = f'link:{os.readlink(path)}' if path.is_symlink() else 'folder' if path.is_dir() else path.read_bytes()
        found[path.relative_to(root).as_posix()] = content
    return found


def make_webui(root: Path, settings: bytes | None = None) -> Path:
    """A webui as v4.9 lays it out, without its code."""
    texts = {
        'server.py': "settings_file = Path('user_data/settings.yaml')\n",
        'modules/extensions.py': "p = shared.user_data_dir / 'extensions' / name / 'script.py'\n",
        'modules/shared.py': "settings = {'default_extensions': []}\n",
        'user_data/presets/min_p.yaml': 'min_p: 0.05\n',
        'user_data/instruction-templates/Alpaca.yaml': 'instruction_template: x\n',
        'user_data/models/config-user.yaml': 'a$:\n  loader: Transformers\n',
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if settings is not None:
        (root / 'user_data' / 'settings.yaml').write_bytes(settings)
    return root


def installing(project: Path, link: bool = False, enable: bool = False, with_hook: bool = True) -> Action:
    """Installs from a project's folder."""

    def action(root: Path) -> None:
        for module in (installer, payload, install, check_environment):
            module.ROOT = project  # type: ignore[attr-defined]  # of this forked process alone
        install.install(Webui(root), link, enable, with_hook)

    return action


def installed_by(project: Path) -> Action:
    """Has another version's own install.py install it."""

    def action(root: Path) -> None:
        command = [sys.executable, str(project / 'install.py'), 'webui', str(root), '--enable']
        subprocess.run(command, check=True, capture_output=True)

    return action


def uninstalling(root: Path) -> None:
    """Uninstalls."""
    uninstall.uninstall(Webui(root))


def in_child(run: Callable[[], object]) -> str | int:
    """Runs something in a forked process; '' if it went well, its error, or the signal that ended it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        message = ''
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            sys.dont_write_bytecode = True
            # No process for PyYAML: the settings here are plain enough without.
            saved_settings._compare = lambda *args: None
            run()
        except BaseException as error:
            message = f'{type(error).__name__}: {error}'
        os.write(writer, message.encode('utf-8', 'replace')[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, 'rb') as pipe:
        said = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else said


def watch(root: Path, seen: Callable[[str], None]) -> None:
    """Calls seen(event) before each change of a file below root, from now on in this process."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == 'open':
            path, mode = arguments[0], arguments[1]
            if isinstance(mode, str) and set(mode) & set('wax+') and str(root) in str(path):
                seen(event)
        elif event in CHANGES:
            seen(event)

    sys.addaudithook(hook)


def count_events(action: Action, root: Path) -> int:
    """How many file events an undisturbed run has."""
    reader, writer = os.pipe()

    def run() -> None:
        events: list[str] = []
        watch(root, events.append)
        action(root)
        os.write(writer, str(len(events)).encode())

    failed = in_child(run)
    os.close(writer)
    with os.fdopen(reader, 'rb') as pipe:
        count = pipe.read()
    if failed:
        raise RuntimeError(f'undisturbed, it failed: {failed}')
    return int(count)


def killed(action: Action, root: Path, at: int) -> None:
    """Runs an action that is killed right before its file event number `at`."""

    def run() -> None:
        left = at

        def seen(event: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        watch(root, seen)
        action(root)

    in_child(run)


def on_full_disk(action: Action, root: Path, at: int) -> str | int:
    """Runs an action on a disk that is full from file event number `at` on; half of the first file still fits."""

    def run() -> None:
        left = at

        def seen(event: str) -> None:
            nonlocal left
            left -= 1
            if left <= 0 and event in NEEDS_SPACE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        write_bytes = Path.write_bytes

        def write_half(path: Path, data: bytes) -> int:
            if left <= 1:  # this write is the event
                write_bytes(path, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return write_bytes(path, data)

        Path.write_bytes = write_half  # type: ignore[method-assign, assignment]
        watch(root, seen)
        action(root)

    return in_child(run)


def start(root: Path) -> None:
    """What a webui does with the hook at its start; raises what PyTorch or the webui would raise."""
    os.chdir(root)
    shared = types.ModuleType('modules.shared')
    shared.user_data_dir = Path('user_data')  # type: ignore[attr-defined]
    sys.modules |= {'modules': types.ModuleType('modules'), 'modules.shared': shared}
    for name in [name for name in sys.modules if name.split('.')[0] in (NAME, installer.HOOK)]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    for entry in importlib.metadata.entry_points(group='torch.backends'):  # as torch/__init__.py has it
        entry.load()()


def state(tree: Snapshot, wholes: list[Snapshot]) -> str:
    """What is wrong with the extension as a webui finds it, '' if nothing is. `wholes`: trees with a whole one."""

    def extension(snapshot: Snapshot) -> Snapshot:
        inside = f'user_data/extensions/{NAME}'
        return {
            path: content
            for path, content in snapshot.items()
            if path.startswith(inside) and content != 'folder' and not Path(path).name.startswith('.')
        }

    found = extension(tree)
    has_script = f'user_data/extensions/{NAME}/script.py' in found
    return 'half an extension' if has_script and found not in map(extension, wholes) else ''


class Checker:
    """The trees of one scenario, and what is checked after each disturbance."""

    def __init__(self, scenario: Scenario, work: Path) -> None:
        self.scenario, self.work = scenario, work
        self.root = work / 'webui'
        make_webui(self.root, scenario.settings)
        self.clean = snapshot(self.root)
        for action in scenario.prepare:
            self.do(action, 'prepare')
        self.copy(self.root, self.kept)
        self.before = snapshot(self.root)
        scenario.events = count_events(scenario.action, self.root)
        self.after = snapshot(self.root)
        self.do(scenario.again, 'again')
        self.installed = snapshot(self.root)

    @property
    def kept(self) -> Path:
        return self.work / 'kept'

    @staticmethod
    def copy(source: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)

    def fresh(self) -> None:
        """The state in which the action starts."""
        self.copy(self.kept, self.root)

    def do(self, action: Action, what: str) -> None:
        if failed := in_child(lambda: action(self.root)):
            raise AssertionError(f'{what}: {failed}')

    def check(self, what: str) -> None:
        """Checks the state that a disturbance left, and where an uninstall and an install lead from there."""
        self.scenario.runs += 1
        try:
            self.alive('at once')
            self.copy(self.root, self.work / 'disturbed')
            self.do(uninstalling, 'uninstall')
            self.alive('uninstalled')
            self.same(self.clean, 'uninstalled')
            self.copy(self.work / 'disturbed', self.root)
            self.do(self.scenario.again, 'install again')
            self.alive('installed again')
            self.same(self.installed, 'installed again')
            self.do(uninstalling, 'uninstall after that')
            self.same(self.clean, 'uninstalled after that')
        except AssertionError as error:
            self.scenario.failures.append(f'{self.scenario.name}, {what}: {error}')

    def alive(self, when: str) -> None:
        if failed := in_child(lambda: start(self.root)):
            raise AssertionError(f'{when}: import torch fails: {failed}')
        tree = snapshot(self.root)
        if wrong := state(tree, [self.before, self.after, self.installed]):
            raise AssertionError(f'{when}: {wrong}')
        settings = 'user_data/settings.yaml'
        if tree.get(settings) not in [t.get(settings) for t in (self.clean, self.before, self.after, self.installed)]:
            raise AssertionError(f'{when}: settings.yaml is neither the old one nor the new one')

    def same(self, expected: Snapshot, when: str) -> None:
        found = snapshot(self.root)
        differ = [path for path in sorted({*found, *expected}) if found.get(path) != expected.get(path)]
        if differ := [path for path in differ if not path.endswith('.installed.json') or path not in expected]:
            raise AssertionError(f'{when}: differs in {differ[:5]}')


def disturb(scenario: Scenario, work: Path, kills: Points, full_disks: Points, pairs: int = 0) -> None:
    """Kills, and fills the disk, at those of the file events that the functions choose, and kills at random pairs."""
    checker = Checker(scenario, work)
    events = range(1, scenario.events + 1)
    for at in kills(events):
        checker.fresh()
        killed(scenario.action, checker.root, at)
        checker.check(f'killed at event {at}')
    for at in full_disks(events):
        checker.fresh()
        on_full_disk(scenario.action, checker.root, at)
        checker.check(f'disk full from event {at}')
    for _ in range(pairs):
        one, two = random.randint(1, scenario.events), random.randint(1, scenario.events)
        checker.fresh()
        killed(scenario.action, checker.root, one)
        killed(random.choice([scenario.action, scenario.again, uninstalling]), checker.root, two)
        checker.check(f'killed at event {one} and again at {two}')


def scenarios(project: Path, older: Path | None = None) -> list[Scenario]:
    """Installs and uninstalls; upgrades from an older version's folder, where there is one."""
    copy, enable = installing(project), installing(project, enable=True)
    link, bare = installing(project, link=True, enable=True), installing(project, with_hook=False)
    found = [
        Scenario('install', [], copy, copy),
        Scenario('install --enable', [], enable, enable, SETTINGS),
        Scenario('install --link --enable', [], link, link, SETTINGS),
        Scenario('the hook, later', [bare], copy, copy),
        Scenario('--no-start-hook, later', [copy], bare, bare),
        Scenario('uninstall', [enable], uninstalling, enable, SETTINGS),
        Scenario('uninstall of a link', [link], uninstalling, link, SETTINGS),
    ]
    if older:
        old = installed_by(older)
        found += [
            Scenario('upgrade', [old], enable, enable, SETTINGS),
            Scenario('uninstall of the older version', [old], uninstalling, enable, SETTINGS),
        ]
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--project', type=Path, default=installer.ROOT, help='installed from here')
    parser.add_argument('--older', type=Path, metavar='DIR', help='another version, to upgrade from')
    parser.add_argument('--every', type=int, default=1, metavar='N')
    parser.add_argument('--pairs', type=int, default=0, metavar='N')
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args(arguments)
    random.seed(args.seed)
    failures = []

    def every(events: range) -> range:
        return events[:: args.every]

    for scenario in scenarios(args.project.resolve(), args.older and args.older.resolve()):
        with tempfile.TemporaryDirectory() as work:
            disturb(scenario, Path(work), every, every, args.pairs)
        print(f'{scenario.name}: {scenario.events} file events, {scenario.runs} runs, {len(scenario.failures)} failed')
        failures += scenario.failures
    print('\n'.join(failures[:50]))
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
