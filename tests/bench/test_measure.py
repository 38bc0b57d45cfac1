"""The benchmark measures what it says; how fast anything is, it only reports."""

import json
import math
import os
import time

import pytest
import torch
from airoboros_gptq.bench.clock import now
from reports import bench
from support import cpu_kernel


def numbers(value, at=''):
    """Every number of the JSON, with the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f'{at}.{key}')
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, at)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield at, value


def test_every_figure_is_there_and_finite(report):
    found, _ = report
    (ours,) = found['engines']
    assert set(ours['prefill']) == {'64', '512', '1500'} and set(ours['decode']) == {'16', '1500'}
    assert all(math.isfinite(v) for _, v in numbers(found))
    positive = {at: v for at, v in numbers(found) if 'overhead' not in at}
    assert all(v > 0 for v in positive.values()), positive
    for part in ('machine', 'model', 'bandwidth', 'load', 'memory', 'second_turn', 'generate'):
        assert found[part]
    assert found['load']['from_disk']['file_read_seconds'] > 0 or not hasattr(os, 'posix_fadvise')
    assert found['machine']['torch'] and found['model']['bits'] == 4 and ours['running'].endswith('bfloat16')


def test_figures_follow_from_the_times(report):
    found, _ = report
    decode = found['engines'][0]['decode']['1500']
    middle = sorted(decode['runs'])[len(decode['runs']) // 2] / decode['tokens']
    assert decode['tokens_per_second'] == pytest.approx(1 / middle)
    assert decode['gb_per_second'] == pytest.approx(decode['bytes_per_token'] / middle / 1e9)
    assert decode['share_of_bandwidth'] == pytest.approx(decode['gb_per_second'] * 1e9 / found['bandwidth'])
    at_16 = found['engines'][0]['decode']['16']
    assert decode['bytes_per_token'] - at_16['bytes_per_token'] == 2 * 5 * 256 * (1500 - 16) * 2  # keys and values


def test_processor_time_and_pytorchs_op(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('AIROBOROS_GPTQ_CACHE', str(tmp_path))
    monkeypatch.setenv('AIROBOROS_GPTQ_BENCH_CLOCK', 'wall')  # and as it was, afterwards
    options = ('--synthetic', 'tiny', '--quick', '--device', 'cpu', '--against', 'torch-int4')
    before = torch.get_num_threads()
    try:
        code, out, _ = bench(capsys, *options, '--processor-time', '--json')
    finally:
        torch.set_num_threads(before)
    found = json.loads(out)
    assert code == 0 and (found['machine']['clock'], found['machine']['threads']) == ('processor', 1)
    ours, other = found['engines']
    assert other['name'] == 'torch-int4' and other['running'].startswith('torch-int4 on cpu')
    assert ours['running'].startswith(cpu_kernel()) and set(ours['decode']) == set(other['decode'])
    started = time.process_time()
    time.sleep(0.2)
    assert now() - started < 0.1  # what sleeps takes none of it
