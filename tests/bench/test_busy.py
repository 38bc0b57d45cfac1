"""`bench --busy`: the other process takes a core while decode is timed, and is gone afterwards."""

import json
import time

import pytest
from airoboros_gptq.bench.busy import busy_process, decode_beside_busy_process
from reports import bench
from support import TINY


def cpu_ticks(pid):
    """User and system time of a process, in ticks (proc(5)); None where it is gone."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            fields = file.read().rpartition(')')[2].split()
    except FileNotFoundError:
        return None
    return int(fields[11]) + int(fields[12])


def test_it_computes_while_the_block_runs_and_is_gone_after_an_error_too():
    with pytest.raises(KeyboardInterrupt), busy_process() as process:
        before, end = cpu_ticks(process.pid), time.monotonic() + 60
        while cpu_ticks(process.pid) < before + 5 and time.monotonic() < end:
            time.sleep(0.01)
        assert cpu_ticks(process.pid) >= before + 5
        raise KeyboardInterrupt
    assert process.returncode is not None and cpu_ticks(process.pid) is None


def test_figures_follow_from_alternating_runs():
    class Engine:
        times = iter((1.0, 4.0, 2.0, 5.0, 3.0, 6.0))

        def decode(self, context, count):
            assert (context, count) == (16, 10)
            return next(self.times)

    found = decode_beside_busy_process(Engine(), 16, 10, 3)
    assert (found['idle_runs'], found['busy_runs']) == ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert (found['idle_tokens_per_second'], found['busy_tokens_per_second'], found['ratio']) == (5.0, 2.0, 0.4)


def test_the_report_has_both_speeds(capsys, tmp_path):
    file = tmp_path / 'tiny.json'
    code, out, _ = bench(capsys, TINY, '--device', 'cpu', '--quick', '--busy', '--json', file)
    found = json.loads(file.read_text())['busy']
    assert code == 0 and found['busy_tokens_per_second'] > 0 and found['context'] == 16
    assert f'times the {found["idle_tokens_per_second"]:.1f} without it' in out


def test_processor_time_does_not_show_it(capsys):
    code, _, err = bench(capsys, TINY, '--device', 'cpu', '--busy', '--processor-time')
    assert code == 1 and 'leave one of them out' in err
