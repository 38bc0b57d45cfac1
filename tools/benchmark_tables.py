"""Writes the README's tables and plot of speeds from the JSONs in benchmarks/results.

    python tools/benchmark_tables.py

A further run, on another machine or a GPU, is a further file there: `python -m airoboros_gptq bench ... --json FILE`.
"""

import itertools
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / 'benchmarks'
sys.path.insert(0, str(ROOT / 'extensions'))

from airoboros_gptq.bench import plot
from airoboros_gptq.util.formatting import format_bytes

README = ROOT / 'README.md'
PLOT = ROOT / 'docs' / 'images' / 'speed.svg'
BEGIN, END = '<!-- made by tools/benchmark_tables.py -->\n', '<!-- end -->\n'


def read(folder: Path) -> list[dict]:
    """The reports in a folder: CPUs first, machine by machine, the larger bandwidth first."""
    reports = [json.loads(path.read_text('utf-8')) for path in sorted(folder.glob('*.json'))]
    return sorted(reports, key=lambda r: ('gpu' in r['machine'], plot.place(r), r['model']['desc_act']))


def section(reports: list[dict]) -> str:
    """Tables of all reports, under a line for each machine."""
    parts = []
    for place, group in itertools.groupby(reports, plot.place):
        found = list(group)
        machine = found[0]['machine']
        names = ('torch', 'transformers', 'triton')
        versions = ', '.join(f'{k} {machine[k]}' for k in names if k in machine)
        low, high = (f(r['bandwidth'] for r in found) / 1e9 for f in (min, max))
        reads = f'{low:.0f}' if f'{low:.0f}' == f'{high:.0f}' else f'{low:.0f} to {high:.0f}'
        parts.append(f'**{place}.** It reads {reads} GB/s; {versions}.\n\n{_speeds(found)}\n\n{_rest(found)}')
    return '\n\n'.join(parts)


def _speeds(reports: list[dict]) -> str:
    counts = {kind: _counts(reports, kind) for kind in ('decode', 'prefill')}
    titles = ['model', 'engine']
    titles += [f'{kind} {"at" if kind == "decode" else "of"} {n}' for kind, all_of in counts.items() for n in all_of]
    rows = [titles, ['---'] * len(titles)]
    for report in reports:
        ours = report['engines'][0]
        for engine in report['engines']:
            row = [_model(report) if engine is ours else '', _engine(engine)]
            for kind, all_of in counts.items():
                row += [_speed(engine[kind].get(n), None if engine is ours else ours[kind].get(n)) for n in all_of]
            rows.append(row)
    return _lines(rows)


def _speed(figure: dict | None, ours: dict | None) -> str:
    """Tokens per second; with the share of the bandwidth, or how many times as fast we were in the same run."""
    if figure is None:
        return ''
    speed = figure['tokens_per_second']
    if ours is not None:
        return f'{speed:.1f} (x{ours["tokens_per_second"] / speed:.2f})'
    share = figure.get('share_of_bandwidth')
    return f'**{speed:.1f}**' + (f' ({share:.0%})' if share else '')


def _rest(reports: list[dict]) -> str:
    titles = (
        'model',
        'load',
        'reading the file',
        'into new memory',
        'from disk: reading it',
        'peak to load',
        'file',
        'second turn',
        'of new alone',
    )
    rows = [[*titles, '`generate()`, per token'], ['---'] * (len(titles) + 1)]
    for r in reports:
        load, memory, turn = r['load'], r['memory'], r['second_turn']
        into, disk, peak = load.get('ratio_into_memory'), load.get('from_disk'), memory.get('loaded')
        rows.append(
            [
                _model(r),
                f'{load["seconds"]:.1f} s',
                f'x{load["ratio"]:.1f}',
                f'x{into:.1f}' if into else '',
                f'{disk["seconds"]:.1f} s: x{disk["ratio"]:.2f}' if disk else '',
                format_bytes(peak) if peak else '',
                format_bytes(r['model']['size']),
                f'{turn["new"]} after {turn["history"]}: {turn["seconds_to_first_token"]:.2f} s',
                f'x{turn["ratio"]:.2f}',
                f'{r["generate"]["overhead_milliseconds"]:+.1f} ms',
            ]
        )
    shown = [i for i in range(len(rows[0])) if any(row[i] for row in rows[2:])]  # some figures are newer than some runs
    return _lines([[row[i] for i in shown] for row in rows])


def _counts(reports: list[dict], kind: str) -> list[str]:
    return sorted({n for r in reports for n in r['engines'][0][kind]}, key=int)


def _model(report: dict) -> str:
    model = report['model']
    size = next(
        (part for part in model['name'].split('-') if part[:-1].isdigit() and part.endswith('b')), model['name']
    )
    return f'{size}, {model["bits"]}-bit, {model["group_size"]}g' + (', act-order' if model['desc_act'] else '')


def _engine(engine: dict) -> str:
    running = engine['running'].removesuffix(', bfloat16').removesuffix(', float16').partition(' on ')[0]
    return (
        f'{engine["name"]}, {running}'
        if engine['name'] == 'airoboros-gptq'
        else f'{engine["name"]} {engine["version"]}'
    )


def _lines(rows: list[list[str]]) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' if row[0] != '---' else '|---' * len(row) + '|' for row in rows)


def main() -> None:
    reports = read(HERE / 'results')
    text = README.read_text('utf-8')
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f'{before}{BEGIN}\n{section(reports)}\n\n{END}{after}', 'utf-8')
    PLOT.write_text(plot.draw([r for r in reports if not r['model']['desc_act']]), 'utf-8')


if __name__ == '__main__':
    main()
