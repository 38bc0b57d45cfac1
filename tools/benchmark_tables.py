"""Writes the speed tables of README.md and docs/benchmarks.md, and the plot, from the JSONs in benchmarks/results.

    python tools/benchmark_tables.py            write them
    python tools/benchmark_tables.py --check    exit with 1 where they are out of date

To add a machine, add a file: `python -m airoboros_gptq bench ... --json benchmarks/results/NAME.json`.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

from generated_section import ROOT, table, update, update_file

sys.path.insert(0, str(ROOT / 'extensions'))

from airoboros_gptq.bench import plot
from airoboros_gptq.bench.report import machine_name
from airoboros_gptq.util.formatting import format_bytes

TOOL = 'benchmark_tables'
RESULTS = ROOT / 'benchmarks' / 'results'
README = ROOT / 'README.md'
PAGE = ROOT / 'docs' / 'benchmarks.md'
PLOT = ROOT / 'docs' / 'images' / 'speed.svg'
OWN = 'airoboros-gptq'
PACKAGES = ('torch', 'transformers', 'triton')
# The README's columns: (kind, tokens).
SUMMARY = (('decode', '16'), ('decode', '1500'), ('prefill', '1500'))


def read(folder: Path) -> list[dict]:
    """The reports in a folder: CPUs first, machine by machine, then plain models before act-order ones."""
    reports = [json.loads(path.read_text('utf-8')) for path in sorted(folder.glob('*.json'))]
    return sorted(reports, key=lambda r: ('gpu' in r['machine'], machine_name(r), r['model']['desc_act']))


def summary(reports: list[dict]) -> str:
    """The README's table: a row for each engine of the runs that have every length of SUMMARY, without act-order. The
    fastest machine comes first.
    """
    rows = [['machine', 'engine', *(_column(kind, n) for kind, n in SUMMARY)]]
    whole = [
        r for r in reports if all(n in r['engines'][0][kind] for kind, n in SUMMARY) and not r['model']['desc_act']
    ]
    for report in sorted(whole, key=lambda r: -r['engines'][0]['decode'][SUMMARY[0][1]]['tokens_per_second']):
        own = report['engines'][0]
        for engine in report['engines']:
            speeds = [f'{engine[kind][n]["tokens_per_second"]:,.{_digits(report)}f}' for kind, n in SUMMARY]
            name = _name(engine)
            if engine is own:
                speeds, name = [f'**{speed}**' for speed in speeds], f'**{OWN}**'
            rows.append([machine_name(report) if engine is own else '', name, *speeds])
    return table(rows)


def section(reports: list[dict]) -> str:
    """The page's tables: two for each machine, under a line that names it."""
    parts = []
    for place, group in itertools.groupby(reports, machine_name):
        runs = list(group)
        machine = runs[0]['machine']
        versions = ', '.join(f'{k} {machine[k]}' for k in PACKAGES if k in machine)
        low, high = (f'{f(r["bandwidth"] for r in runs) / 1e9:.0f}' for f in (min, max))
        reads = low if low == high else f'{low} to {high}'
        parts.append(f'### {place}\n\nReads {reads} GB/s. {versions}.\n\n{_speeds(runs)}\n\n{_rest(runs)}')
    return '\n\n'.join(parts)


def _speeds(reports: list[dict]) -> str:
    columns = [(kind, n) for kind in ('decode', 'prefill') for n in _counts(reports, kind)]
    rows = [['model', 'engine', *(_column(kind, n) for kind, n in columns)]]
    for report in reports:
        own = report['engines'][0]
        for engine in report['engines']:
            row = [_model(report) if engine is own else '', _name(engine)]
            row += [_speed(engine[k].get(n), None if engine is own else own[k].get(n)) for k, n in columns]
            rows.append(row)
    return table(rows)


def _speed(figure: dict | None, own: dict | None) -> str:
    """Tokens per second; in brackets the share of the read bandwidth, or `own` speed over this one."""
    if figure is None:
        return ''
    speed = figure['tokens_per_second']
    if own is not None:
        return f'{speed:.1f} (x{own["tokens_per_second"] / speed:.2f})'
    share = figure.get('share_of_bandwidth')
    return f'**{speed:.1f}**' + (f' ({share:.0%})' if share else '')


def _rest(reports: list[dict]) -> str:
    """Loading, memory, the second turn and generate(). Columns that no run has are left out."""
    titles = [
        'model',
        'load',
        'over reading the file',
        'over reading it into new memory',
        'load from disk',
        'over reading from disk',
        'peak while loading',
        'checkpoint',
        'second turn: first token',
        'over prefill of the new tokens',
        '`generate()` adds, per token',
    ]
    rows = [titles]
    for r in reports:
        load, memory, turn = r['load'], r['memory'], r['second_turn']
        into, disk, peak = load.get('ratio_into_memory'), load.get('from_disk'), memory.get('loaded')
        rows.append(
            [
                _model(r),
                f'{load["seconds"]:.1f} s',
                f'x{load["ratio"]:.1f}',
                f'x{into:.1f}' if into else '',
                f'{disk["seconds"]:.1f} s' if disk else '',
                f'x{disk["ratio"]:.2f}' if disk else '',
                format_bytes(peak) if peak else '',
                format_bytes(r['model']['size']),
                f'{turn["seconds_to_first_token"]:.2f} s ({turn["new"]} tokens after {turn["history"]})',
                f'x{turn["ratio"]:.2f}',
                f'{r["generate"]["overhead_milliseconds"]:+.1f} ms',
            ]
        )
    shown = [i for i in range(len(titles)) if any(row[i] for row in rows[1:])]
    return table([[row[i] for i in shown] for row in rows])


def _column(kind: str, count: str) -> str:
    return f'decode at {count}' if kind == 'decode' else f'prefill of {count}'


def _counts(reports: list[dict], kind: str) -> list[str]:
    return sorted({n for r in reports for n in r['engines'][0][kind]}, key=int)


def _digits(report: dict) -> int:
    """Decimal places of a speed: GPUs make hundreds of tokens per second."""
    return 0 if 'gpu' in report['machine'] else 1


def _model(report: dict) -> str:
    model = report['model']
    sizes = (part for part in model['name'].split('-') if part[:-1].isdigit() and part.endswith('b'))
    size = next(sizes, model['name'])
    return f'{size}, {model["bits"]}-bit, {model["group_size"]}g' + (', act-order' if model['desc_act'] else '')


def _name(engine: dict) -> str:
    kernel = engine['running'].partition(' on ')[0]
    return f'{OWN}, {kernel}' if engine['name'] == OWN else f'{engine["name"]} {engine["version"]}'


def main(arguments: list[str]) -> int:
    check = arguments == ['--check']
    if arguments and not check:
        sys.exit(__doc__)
    reports = read(RESULTS)
    drawn = plot.draw([r for r in reports if not r['model']['desc_act']])
    current = [
        update(README, TOOL, summary(reports), check),
        update(PAGE, TOOL, section(reports), check),
        update_file(PLOT, drawn, TOOL, check),
    ]
    return 1 if check and not all(current) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
