"""The machine: its processor and its memory, each from one place."""

import platform
import sys
from types import SimpleNamespace

import psutil
import pytest
from airoboros_gptq.util import host

LINUX = pytest.mark.skipif(sys.platform != 'linux', reason='read from /proc, which Linux has')
CPUINFO = """processor\t: 0
model name\t: Some CPU @ 2.0 GHz
flags\t\t: fpu avx2 fma

processor\t: 1
model name\t: another
flags\t\t: fpu
"""


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A /proc of the test's own; what this machine's said before is forgotten, and afterwards too."""
    monkeypatch.setattr(host, '_PROC', tmp_path)
    monkeypatch.setattr(psutil, 'PROCFS_PATH', str(tmp_path), raising=False)
    host.cpu_flags.cache_clear()
    yield tmp_path
    host.cpu_flags.cache_clear()


def test_the_processor_is_the_first_of_cpuinfo(proc):
    (proc / 'cpuinfo').write_text(CPUINFO)
    assert host.cpu_flags() == {'fpu', 'avx2', 'fma'}
    assert host.cpu_name() == 'Some CPU @ 2.0 GHz'


def test_elsewhere_python_names_the_processor(proc):
    assert host.cpu_flags() == frozenset()
    assert host.cpu_name() == (platform.processor() or platform.machine())


@LINUX
def test_free_ram_is_what_programs_can_have(proc):
    lines = {
        'MemTotal': 1000,
        'MemFree': 10,
        'MemAvailable': 700,
        'Buffers': 1,
        'Cached': 600,
        'Active': 1,
        'Inactive': 1,
        'Shmem': 1,
    }
    (proc / 'meminfo').write_text(''.join(f'{name}:  {kilobytes} kB\n' for name, kilobytes in lines.items()))
    assert host.free_ram() == 700 * 1024


def test_process_memory_is_the_resident_set(monkeypatch):
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=123, vms=900))
    monkeypatch.setattr(psutil, 'Process', lambda: process)
    assert host.process_memory() == 123


@LINUX
def test_the_peak_can_be_measured_anew(proc):
    (proc / 'self').mkdir()
    (proc / 'self' / 'status').write_text('VmPeak:\t 99 kB\nVmHWM:\t  64 kB\n')
    assert host.peak_process_memory() == 64 * 1024
    host.reset_peak_process_memory()
    assert (proc / 'self' / 'clear_refs').read_text() == '5'


def test_without_psutil_memory_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, 'psutil', None)
    assert host.free_ram() is host.process_memory() is None
