"""The demo and the tests, run in the environment of our own."""

import os
import shutil

from . import NAME, Stop, commands
from .check_environment import find_python
from .own_environment import environment
from .webui_tree import Webui


def run_demo(args, rest):
    python = environment(['demo'])
    port = ['--port', str(args.port)] if args.port is not None else []
    model_dir = os.path.abspath(args.model_dir)
    return commands.call(python, '-m', NAME, 'demo', '--model-dir', model_dir, *port, *rest)


def find_chromium():
    named = os.environ.get('CHROMIUM')
    if named and not shutil.which(named):
        raise Stop(f'{named}, which CHROMIUM names, is no program: correct or unset that variable.')
    names = [named] if named else ['chromium', 'chromium-browser', 'google-chrome', '/usr/bin/chromium']
    return next((found for found in map(shutil.which, names) if found), None)


def get_chromium(python):
    """A browser for the panel's tests; None leaves the choice to playwright's own."""
    if not find_chromium() and shutil.which('apt-get') and hasattr(os, 'geteuid') and os.geteuid() == 0:
        commands.call('apt-get', 'update') or commands.call('apt-get', 'install', '-y', 'chromium')
    if not find_chromium() and commands.call(python, '-m', 'playwright', 'install', 'chromium'):
        print('No Chromium could be had: install one, or name it in CHROMIUM, to run the tests that need a browser.')
    return find_chromium()


def run_tests(args, rest):
    if args.webui_ref:
        return test_release(args, rest)
    more = {}
    if args.webui:
        webui = Webui(args.webui)
        webui.check_usable()
        more['AIROBOROS_WEBUI'] = str(webui.root)
        named = args.python or find_python(webui)[0]
        if named:
            more['AIROBOROS_WEBUI_PYTHON'] = os.path.abspath(named)
    python = environment(['demo', 'test'])
    chromium = get_chromium(python)
    env = commands.clean_environ(**more, **({'CHROMIUM': chromium} if chromium else {}))
    for command in (['ruff', 'check'], ['ruff', 'format', '--check'], ['pytest', '-ra', *rest]):
        code = commands.call(python, '-m', *command, env=env)
        if code:
            return code
    return 0


def test_release(args, rest):
    """Fetches a release of the webui and drives it with the suite alone; tools/webui_versions.py keeps what passed."""
    if not args.python:
        raise Stop(
            "--webui-ref brings no environment: name the Python of one with that release's requirements by --python."
        )
    python = environment(['demo', 'test'])
    chromium = get_chromium(python)
    source = ['--from', args.source] if args.source else []
    command = ['tools/webui_versions.py', 'run', args.webui_ref, '--python', os.path.abspath(args.python), *source]
    env = commands.clean_environ(**({'CHROMIUM': chromium} if chromium else {}))
    return commands.call(python, *command, '--', *rest, env=env)
