"""The arguments of install.py, and which module each command leads to."""

from __future__ import annotations

import argparse
import sys

from . import NAME, ROOT, InstallError, read_version
from .check_environment import check_environment, find_python
from .demo_and_tests import run_demo, run_tests
from .install import install
from .report import report_next
from .uninstall import uninstall
from .webui_tree import Webui


def main(arguments: list[str], description: str) -> int | str:
    """Runs one command; returns what sys.exit takes: a code, or the sentence that says what went wrong."""
    try:
        args, rest = _parse(arguments, description)
        if args.command in ('demo', 'test'):
            return {'demo': run_demo, 'test': run_tests}[args.command](args, rest)
        webui = Webui(args.path, args.user_data_dir)
        if args.command == 'uninstall':
            uninstall(webui, args.python)
            return 0
        failed = install(webui, args.link, args.enable, args.start_hook, args.python)
        check_environment(*((args.python, '') if args.python else find_python(webui)))
        report_next(webui)
        return str(failed) if failed else 0
    except KeyboardInterrupt:
        print('\nInterrupted: run this again to finish it.', file=sys.stderr)
        return 130
    except InstallError as error:
        return str(error)
    except OSError as error:
        return f'{error.filename or ROOT}: {error.strerror}: see to that and run this again.'


def _parse(arguments: list[str], description: str) -> tuple[argparse.Namespace, list[str]]:
    """The arguments, and those behind a `--`, which are handed on."""
    parser = argparse.ArgumentParser(
        prog='install.py', description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--version', action='version', version=f'{NAME} {read_version()}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='{webui,uninstall,demo,test}')
    webui = commands.add_parser('webui', help='install into a webui, or upgrade')
    out = commands.add_parser('uninstall', help='take it out of a webui')
    demo = commands.add_parser('demo', help='a chat page without a webui')
    test = commands.add_parser('test', help='the tests')
    for command in (webui, out):
        command.add_argument('path', metavar='PATH', help='the folder of the webui that holds server.py')
        command.add_argument('--user-data-dir', metavar='DIR', help='if the webui is started with this option')
    for command in (webui, out, test):
        command.add_argument('--python', metavar='EXE', help="the webui's Python, where it is not found")
    webui.add_argument('--enable', action='store_true', help='list it under default_extensions in settings.yaml')
    webui.add_argument('--link', action='store_true', help='link to this folder instead of copying, to work on it')
    webui.add_argument(
        '--no-start-hook',
        action='store_false',
        dest='start_hook',
        help=f'leave out {NAME}_early.py, which PyTorch imports: --model NAME then loads no GPTQ folder',
    )
    demo.add_argument('--model-dir', metavar='DIR', action='append', help='the folder of your models; may be repeated')
    demo.add_argument('--real-model', action='store_true', help='get SmolLM2-135M-Instruct (93 MB) and show it')
    demo.add_argument('--port', metavar='N', type=int)
    test.add_argument('--webui', metavar='PATH', help='also test inside a copy of this webui')
    test.add_argument('--webui-ref', metavar='REF', help='fetch this tag or branch of the webui and test inside it')
    test.add_argument('--from', metavar='GIT', dest='source', help='the repository --webui-ref is fetched from')
    cut = arguments.index('--') if '--' in arguments else len(arguments)
    args, rest = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    if rest and args.command in ('webui', 'uninstall'):
        parser.error(f'{args.command} takes no further arguments')
    return args, rest
