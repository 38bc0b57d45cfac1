"""Threads that come late, callers at once, a fork, signals and a missing thread change no result and hang no caller."""

import json
import os
import subprocess
import threading

import pytest
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.cpu import compile as cpu_compile
from airoboros_gptq.kernels.cpu.attention import attend
from airoboros_gptq.kernels.cpu.bindings import gemm, repack
from airoboros_gptq.kernels.packing import dequantize
from compiled import needs_library
from random_linears import random_packed
from support import EXTENSIONS, ROOT, run_python

SPEC = LinearSpec(1024, 2048, 4, 128, False)  # large enough to be shared out

# Short jobs one after the other, in which each chunk must run exactly once, by a thread that may.
STRESS = r"""
#include <stdio.h>
#include <stdlib.h>
#include "thread_pool.h"

int main(int, char** arguments) {
    const int threads = atoi(arguments[1]);
    static std::atomic<int> runs[8];
    uint32_t random = 1;
    for (int job = 0; job < 10000; job++) {
        random = random * 1664525 + 1013904223;
        const int chunks = 2 + (random >> 16) % 4, owner = job;
        pool.delay_ns = random >> 8 & 1023;
        int context = job;
        share_chunks(threads, chunks, [&, owner](int64_t chunk, int64_t thread) {
            if (context != owner || chunk < 0 || chunk >= chunks || thread < 0 || thread >= threads) abort();
            runs[chunk]++;
        });
        context = -1;
        for (int i = 0; i < 8; i++)
            if (runs[i].exchange(0) != (i < chunks)) return printf("job %d: chunk %d of %d\n", job, i, chunks), 1;
    }
    puts("each once");
}
"""
# A process of its own that computes on two threads: gemm(1) by the library's helpers, gemm(300) by PyTorch's.
PROCESS = """
import json, os, resource, signal, threading, time
import torch
from airoboros_gptq.checkpoint.linear_spec import LinearSpec
from airoboros_gptq.kernels.cpu import bindings
from random_linears import random_packed

torch.set_num_threads(2)
SPEC = LinearSpec(1024, 2048, 4, 128, False)
X = torch.randn(300, 1024)
library = bindings.load_library()
weight = bindings.repack(library, random_packed(SPEC), SPEC)

def gemm(rows):
    return bindings.gemm(library, X[:rows], weight, SPEC).numpy().tobytes()  # a child cannot compare with PyTorch's threads

def helpers():
    return sum(open(f'/proc/self/task/{n}/comm').read() == 'gptq-helper\\n' for n in os.listdir('/proc/self/task'))

def child():
    "The exit code of a forked child that computes, or that it hangs."
    pid = os.fork()
    if pid == 0:
        library.gptq_delay_threads(0)
        os._exit(0 if gemm(1) == few and gemm(300) == many and helpers() == 1 else 1)
    end = time.monotonic() + 30
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            return 'hangs'
        time.sleep(0.01)
    return ended[1]

said, few, many = {}, gemm(1), gemm(300)
said['helpers'] = helpers()
said['child'] = child()

library.gptq_delay_threads(2_000_000)
ends = threading.Event()
caller = threading.Thread(target=lambda: [gemm(1) for _ in iter(ends.is_set, True)])
caller.start()
time.sleep(0.1)
said['children amid a job'] = [child() for _ in range(3)]
ends.set()
caller.join()

library.gptq_delay_threads(100_000)
on_main = []
signal.signal(signal.SIGALRM, lambda *_: on_main.append(threading.current_thread() is threading.main_thread()))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
right = [gemm(1) == few for _ in range(300)]
signal.setitimer(signal.ITIMER_REAL, 0)
said['amid signals'] = [all(right), len(on_main) > 20, all(on_main)]
library.gptq_delay_threads(0)

cores = os.sched_getaffinity(0)
os.sched_setaffinity(0, {min(cores)})
torch.set_num_threads(6)
said['six threads on one core'] = [all(gemm(1) == few for _ in range(300)), helpers()]
os.sched_setaffinity(0, cores)

size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
limit = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (size + (3 << 20), limit[1]))  # no room for the stack of a thread
torch.set_num_threads(9)
said['no more threads'] = [all(gemm(1) == few for _ in range(30)), helpers()]
resource.setrlimit(resource.RLIMIT_AS, limit)

print(json.dumps(said))
library.gptq_delay_threads(10**12)  # for longer than the test waits
threading.Thread(target=gemm, args=(1,), daemon=True).start()
time.sleep(0.1)
"""


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def delay(library):
    yield library.gptq_delay_threads
    library.gptq_delay_threads(0)


@pytest.fixture(scope='module')
def process():
    """What PROCESS said, which ended amid a job."""
    paths = os.pathsep.join((str(EXTENSIONS), str(ROOT / 'tests' / 'helpers')))
    code, out, err = run_python('-c', PROCESS, PYTHONPATH=paths, OMP_NUM_THREADS='2')
    assert code == 0, err
    return json.loads(out)


@needs_library
@pytest.mark.parametrize('threads', ['2', '3'])
def test_each_chunk_is_computed_once(tmp_path, threads):
    source, program = tmp_path / 'stress.cpp', tmp_path / 'stress'
    source.write_text(STRESS)
    flags = [f for f in cpu_compile.compile_flags() if f not in ('-shared', '-fPIC', '-O3')]
    folder = f'-I{cpu_compile.SOURCE.parent}'
    command = [*cpu_compile.compiler(), *flags, '-O2', folder, '-o', str(program), str(source)]
    subprocess.run(command, check=True, timeout=100)
    done = subprocess.run([program, threads], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, 'each once\n')


@pytest.mark.parametrize('ns', [0, 5_000, 200_000])
def test_helpers_that_are_late_change_no_result(library, threads, delay, ns):
    packed = random_packed(SPEC)
    weight, formula = repack(library, packed, SPEC), dequantize(packed, SPEC, torch.float64)
    cache = [torch.randn(1, 8, 1500, 128) for _ in range(2)]
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        x, query = torch.randn(1 + seed, 1024, generator=generator), torch.randn(1, 8, 1, 128, generator=generator)
        found = []
        for count in (1, 2, 4, 3):
            threads(count)
            delay(ns)
            found.append((gemm(library, x, weight, SPEC), attend(library, query, *cache, 0.1)))
        right = x.double() @ formula
        assert (found[0][0].double() - right).norm() / right.norm() < 1e-4
        assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_callers_at_once(library, threads, delay):
    """One has the helpers, the others work alone; each gets its own result."""
    threads(3)
    delay(20_000)
    weight, wrong = repack(library, random_packed(SPEC), SPEC), []

    def call(seed):
        torch.set_num_threads(3)
        x = torch.randn(2, 1024, generator=torch.Generator().manual_seed(seed))
        right = gemm(library, x, weight, SPEC)
        wrong.extend(n for n in range(60) if not torch.equal(gemm(library, x, weight, SPEC), right))

    callers = [threading.Thread(target=call, args=(n,)) for n in range(4)]
    [c.start() for c in callers]
    [c.join() for c in callers]
    assert wrong == []


@needs_library
def test_a_forked_child_computes(process):
    """It has neither the helpers nor PyTorch's threads of its parent, not even where it is forked amid a job."""
    assert process['helpers'] == 1
    assert process['child'] == 0
    assert process['children amid a job'] == [0, 0, 0]


@needs_library
def test_signals_are_handled_by_the_main_thread_and_change_no_result(process):
    assert process['amid signals'] == [True, True, True]


@needs_library
def test_more_threads_than_cores(process):
    assert process['six threads on one core'] == [True, 5]


@needs_library
def test_where_no_thread_can_be_started_the_others_do_the_work(process):
    assert process['no more threads'] == [True, 5]
