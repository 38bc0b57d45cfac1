"""Runs tests of tests/interpreted as Triton's interpreter needs it: TRITON_INTERPRET=1 stands before the kernels are imported, so
they have a process of their own.
"""

import os
import subprocess
import sys

from support import ROOT

FOLDER = ROOT / 'tests' / 'interpreted'
FILES = sorted(path.name for path in FOLDER.glob('test_*.py'))
OF_GENERATION = [name for name in FILES if name.endswith(('_decoding.py', '_graph.py'))]


def check_interpreted(names):
    """Each of these files passes, and nothing in them is skipped."""
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *(str(FOLDER / name) for name in names)]
    environ = {k: v for k, v in os.environ.items() if not k.startswith('PYTEST_')}
    done = subprocess.run(command, env={**environ, 'TRITON_INTERPRET': '1'}, capture_output=True, text=True)
    print(done.stdout[-6000:], done.stderr[-2000:])
    assert done.returncode == 0
    counts = done.stdout.splitlines()[-1]
    assert ' passed' in counts and 'skipped' not in counts
