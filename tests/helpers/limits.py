"""Time and memory of a piece of a test, limited as POSIX does it."""

import contextlib
import signal
from pathlib import Path


class HangError(BaseException):
    """No Exception, which a library might catch."""


def peak():
    """Bytes that this process had in memory at most."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@contextlib.contextmanager
def limited(seconds, memory):
    """Gives start(), after which HangError is raised when the seconds are over, and which may be called again and again. Beyond
    `memory` bytes of address space more than there are, no allocation succeeds.
    """

    import resource

    def hang(*args):
        raise HangError(f'more than {seconds} s')

    in_use = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    limits, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, hang)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + memory, limits[1]))
    try:
        yield lambda: signal.setitimer(signal.ITIMER_REAL, seconds)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)
