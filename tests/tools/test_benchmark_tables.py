"""The README's speed table, which shows few of the runs."""

import json

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


def test_the_tables_are_made_from_any_reports(tmp_path):
    found = json.loads((benchmark_tables.RESULTS / 'epyc-zen5-avx512-7b.json').read_text())
    ours = found['engines'][0]
    slower = {
        kind: {n: f | {'tokens_per_second': f['tokens_per_second'] / 2} for n, f in ours[kind].items()}
        for kind in ('prefill', 'decode')
    }
    gpu = found | {
        'machine': found['machine'] | {'gpu': 'A GPU', 'device': 'cuda:0'},
        'model': found['model'] | {'desc_act': True},
        'engines': [ours, {'name': 'exllamav2', 'version': '0.3.2', 'running': 'GPTQ', **slower}],
    }
    for name, one in (('a', gpu), ('b', found)):
        (tmp_path / f'{name}.json').write_text(json.dumps(one))
    text = benchmark_tables.section(benchmark_tables.read(tmp_path))
    assert text.index(found['machine']['processor']) < text.index('### A GPU')  # CPUs first
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines()]
    (rival,) = [row for row in rows if row[1:2] == ['exllamav2 0.3.2']]
    assert len(rival) == 2 + 5 and all(cell.endswith('(x2.00)') for cell in rival[2:])
    assert sum(row[0].endswith(', act-order') for row in rows) == 2  # its speeds, and the rest
    assert f'{ours["decode"]["16"]["tokens_per_second"]:.1f}' in text
