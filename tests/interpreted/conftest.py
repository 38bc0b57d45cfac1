"""Run by tests/kernels/triton/test_kernel.py, in a process of its own."""

import os

if os.environ.get('TRITON_INTERPRET') != '1':
    collect_ignore_glob = ['test_*.py']
