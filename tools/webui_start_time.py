"""How long a webui takes to start with the extension and without it, in turns: seconds up to the line with its address.

    python tools/webui_start_time.py WEBUI [--rounds 5]

Run it with the Python of .venv; the webui's own is named by AIROBOROS_WEBUI_PYTHON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests'))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('webui', type=Path)
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    from webui import server as webui_server

    python = webui_server.python_of(args.webui.resolve())
    taken = {'with': [], 'without': []}
    with tempfile.TemporaryDirectory() as made:
        trees = {kind: webui_server.copy_webui(args.webui.resolve(), Path(made) / kind) for kind in taken}
        webui_server.install(trees['with'])
        for turn in range(args.rounds + 1):  # the first compiles Python and fills the disk's cache
            for kind, tree in trees.items():
                flags = ['--extensions', 'airoboros_gptq'] if kind == 'with' else []
                begun = time.monotonic()
                with webui_server.Server(tree, *flags, python=python) as server:
                    while 'Running on local URL' not in server.log():
                        assert server.process.poll() is None, server.log()
                        time.sleep(0.02)
                    taken[kind] += [time.monotonic() - begun] if turn else []
                    server.wait()
    print(json.dumps({kind: {'median': statistics.median(all_), 'all': all_} for kind, all_ in taken.items()}))


if __name__ == '__main__':
    main()
