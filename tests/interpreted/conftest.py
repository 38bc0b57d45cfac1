"""Run by tests/helpers/run_interpreted.py, in a process of its own."""

import os

if os.environ.get('TRITON_INTERPRET') != '1':
    collect_ignore_glob = ['test_*.py']
else:
    import quick_interpreter

    quick_interpreter.install()
