#!/usr/bin/env python3
"""Puts airoboros_gptq into a text-generation-webui and takes it out again; runs its demo and its tests.

    python install.py webui PATH [--enable] [--link]    install or upgrade; PATH holds the webui's server.py
    python install.py uninstall PATH                    leave the webui as it was before
    python install.py demo [--model-dir DIR] [--port N] [-- further arguments of the demo]
    python install.py test [--webui PATH [--python EXE]] [-- arguments of pytest]
    python install.py test --webui-ref REF --python EXE [--from GIT]     a release of the webui that you do not have

`webui` copies the extension, its presets and its instruction templates; --enable also lists it under
default_extensions in settings.yaml, --link makes links to this folder for those who work on it. A manifest remembers
what was written, so that files you edited are kept and everything else can be upgraded or removed.
`demo` and `test` make their own environment in .venv beside this file. Only the standard library is needed.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if sys.version_info < (3, 10):  # noqa: UP036 - said here, as nobody else says it
    sys.exit('install.py needs Python 3.10 or newer, this is {}.{}.'.format(*sys.version_info))
sys.path[:0] = [str(ROOT)]
sys.dont_write_bytecode = True  # with --link, what lies in our folder lies in the webui
try:
    from installer import NAME, Stop, read_version
    from installer.check_environment import check_environment, find_python
    from installer.copying import install, uninstall
    from installer.demo_and_tests import run_demo, run_tests
    from installer.webui_tree import Webui

    found = sys.modules['installer'].__file__
    if ROOT not in Path(found).resolve().parents:  # an installed one, where ours is missing
        raise ImportError(f'the package found is {found}')
except ImportError as error:
    sys.exit(f'{ROOT}: {error}: run install.py from a complete copy of the project.')


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--version', action='version', version=f'{NAME} {read_version()}')
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
    parsers['test'].add_argument('--webui', metavar='PATH', help='also test inside a copy of this webui')
    parsers['test'].add_argument(
        '--webui-ref', metavar='REF', help='fetch this tag or branch of the webui and test inside it'
    )
    parsers['test'].add_argument('--from', metavar='GIT', dest='source', help='where --webui-ref is fetched from')
    parsers['test'].add_argument('--python', metavar='EXE', help="the webui's Python, if it is not found")
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
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print()
        sys.exit(130)
    except Stop as stop:
        sys.exit(str(stop))
    except OSError as error:
        sys.exit(f'{error.filename or ROOT}: {error.strerror}: see to that and run this again.')
