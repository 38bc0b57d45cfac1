"""Runs the demo and the tests in .venv."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from . import NAME, ROOT, InstallError, commands
from .cache import cache_folder
from .check_environment import find_python
from .own_environment import VENV, make_environment
from .real_model import provide_real_model
from .webui_tree import Webui

CHECKS = (['ruff', 'check'], ['ruff', 'format', '--check'], ['mypy'])


def run_demo(args: argparse.Namespace, rest: list[str]) -> int:
    """Opens the chat page; its exit code."""
    python = make_environment(['demo'])
    _say_where()
    port = ['--port', str(args.port)] if args.port is not None else []
    folders = [os.path.abspath(folder) for folder in args.model_dir or [ROOT / 'tests' / 'models']]
    offered = not args.model_dir and '--model' not in rest  # somebody without a model of their own
    model: list[str] = []
    if real := provide_real_model(get=args.real_model, ask=offered):
        folders.append(str(real.parent))
        model = ['--model', real.name] if args.real_model or offered else []
    dirs = [word for folder in folders for word in ('--model-dir', folder)]
    try:
        return commands.call(python, '-m', NAME, 'demo', *dirs, *model, *port, *rest)
    except KeyboardInterrupt:  # that is how it ends, and it has said so
        return 0


def run_tests(args: argparse.Namespace, rest: list[str]) -> int:
    """Runs ruff, mypy and pytest, and stops at the first that fails; its exit code."""
    if args.webui_ref:
        return _test_release(args, rest)
    webui_environ = {}
    if args.webui:
        webui = Webui(args.webui)
        webui.check_usable()
        webui_environ['AIROBOROS_WEBUI'] = str(webui.root)
        if python := args.python or find_python(webui)[0]:
            webui_environ['AIROBOROS_WEBUI_PYTHON'] = os.path.abspath(python)
    python, environ = _prepare()
    for command in (*CHECKS, ['pytest', '-ra', *_workers(bool(args.webui)), *rest]):
        code = commands.call(python, '-m', *command, env={**environ, **webui_environ})
        if code:
            return code
    return 0


def _workers(has_webui: bool) -> list[str]:
    """Options of pytest for a process per core, at most four. The tests of a webui share one server, so they stay in one."""
    workers = min(_cores(), 4)
    if has_webui or workers < 2:
        return []
    return ['-n', str(workers), '--dist', 'loadfile', '--no-loadscope-reorder']


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def _test_release(args: argparse.Namespace, rest: list[str]) -> int:
    """Fetches a release of the webui and runs the tests that drive it; tools/webui_versions.py notes what passed."""
    if not args.python:
        raise InstallError(
            "--webui-ref brings no environment: name the Python of one with that release's requirements by --python."
        )
    python, environ = _prepare()
    source = ['--from', args.source] if args.source else []
    command = ['tools/webui_versions.py', 'run', args.webui_ref, '--python', os.path.abspath(args.python), *source]
    return commands.call(python, *command, '--', *rest, env=environ)


def _prepare() -> tuple[Path, dict[str, str]]:
    """The Python of .venv, and the environment variables that it gets."""
    python = make_environment(['demo', 'test'])
    _say_where()
    chromium = _get_chromium(python)
    return python, commands.clean_environ(**({'CHROMIUM': chromium} if chromium else {}))


def _say_where() -> None:
    """Names what is written to, and is free to be deleted."""
    print(f'Environment: {VENV}. Cache: {cache_folder()}, the compiled CPU kernel. Both may be deleted.', flush=True)


def _get_chromium(python: Path) -> str | None:
    """A Chromium for the tests that need a browser, installed where possible; None leaves playwright to find one."""
    if not find_chromium() and shutil.which('apt-get') and hasattr(os, 'geteuid') and os.geteuid() == 0:
        commands.call('apt-get', 'update') or commands.call('apt-get', 'install', '-y', 'chromium')
    if not find_chromium() and commands.call(python, '-m', 'playwright', 'install', 'chromium'):
        print('No Chromium was found or installed: install one, or name it in CHROMIUM, for the tests in a browser.')
    return find_chromium()


def find_chromium() -> str | None:
    """The program that CHROMIUM names, or a Chromium on the PATH."""
    named = os.environ.get('CHROMIUM')
    if named and not shutil.which(named):
        raise InstallError(f'{named}, which CHROMIUM names, is not a program: correct or unset that variable.')
    names = [named] if named else ['chromium', 'chromium-browser', 'google-chrome', '/usr/bin/chromium']
    return next((path for path in map(shutil.which, names) if path), None)
