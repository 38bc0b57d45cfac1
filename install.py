#!/usr/bin/env python3
"""Puts airoboros_gptq into a text-generation-webui and takes it out again; runs its demo and its tests.

    python install.py webui PATH [--enable] [--link]    install or upgrade; PATH holds the webui's server.py
    python install.py uninstall PATH                    take it out: the webui is byte for byte as it was
    python install.py demo [--real-model] [--model-dir DIR] [--port N] [-- further arguments of the demo]
    python install.py test [--webui PATH [--python EXE]] [-- arguments of pytest]
    python install.py test --webui-ref REF --python EXE [--from GIT]    against a release of the webui, fetched for it

`webui` copies the extension, its presets, its instruction templates and a start hook, and says where. It checks the
webui's Python environment and installs nothing into it. Files that you have edited are kept.
`demo` and `test` make their own environment in .venv beside this file. `demo --real-model` gets a small real model, 93 MB,
into the user's cache folder. Only the standard library is needed.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if sys.version_info < (3, 10):  # noqa: UP036 - the imports below would fail with a SyntaxError
    sys.exit('install.py needs Python 3.10 or newer, this is {}.{}.'.format(*sys.version_info))
sys.path[:0] = [str(ROOT)]
sys.dont_write_bytecode = True  # with --link, this folder is part of the webui
try:
    import installer

    if ROOT not in Path(installer.__file__ or '').resolve().parents:  # another package of that name
        raise ImportError('its folder installer is missing')
    from installer.command_line import main
except ImportError as error:
    sys.exit(f'{ROOT}: {error}: run install.py from a complete copy of the project.')

if __name__ == '__main__':
    sys.exit(main(sys.argv[1:], __doc__))
