"""The README's speed table, which shows few of the runs."""

import benchmark_tables
import pytest


def report(speed: float, *, gpu: str | None = None, act_order: bool = False, longest: str = '1500') -> dict:
    machine = {'processor': 'A CPU', 'threads': 2, 'instructions': 'AVX2'} | ({'gpu': gpu} if gpu else {})
    figures = {n: {'tokens_per_second': speed} for n in ('16', longest)}
    engine = {'name': 'airoboros-gptq', 'version': '1', 'running': 'k on cpu', 'decode': figures, 'prefill': figures}
    other = engine | {'name': 'llama.cpp', 'version': '2'}
    return {'machine': machine, 'model': {'desc_act': act_order}, 'engines': [engine, other]}


def test_the_fastest_first_and_whole_runs_without_act_order_only():
    reports = [report(1.25), report(1000, gpu='A GPU'), report(7, act_order=True), report(8, longest='64')]
    lines = benchmark_tables.summary(reports).splitlines()[2:]
    assert [line.split(' | ')[0].strip('| ') for line in lines] == ['A GPU', '', 'A CPU, AVX2, 2 threads', '']
    assert '**1,000**' in lines[0] and '| llama.cpp 2 | 1.2 |' in lines[3]


def test_an_option_that_it_does_not_know_is_refused():
    with pytest.raises(SystemExit, match='--check'):
        benchmark_tables.main(['--chek'])
