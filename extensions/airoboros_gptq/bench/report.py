"""Figures derived from the measurements, and the report as text."""

from __future__ import annotations

from statistics import median

from ..util.formatting import format_bytes


def prefill_figure(seconds: list[float], count: int) -> dict:
    middle = median(seconds)
    return {'tokens_per_second': count / middle, 'seconds': middle, 'runs': seconds}


def decode_figure(seconds: list[float], count: int, bytes_per_token: int, bandwidth: float) -> dict:
    """`count` tokens took `seconds` in each run. `share` is of the machine's read bandwidth, in bytes per second."""
    middle = median(seconds) / count
    return {
        'tokens_per_second': 1 / middle,
        'milliseconds': 1000 * middle,
        'bytes_per_token': bytes_per_token,
        'gb_per_second': bytes_per_token / middle / 1e9,
        'share_of_bandwidth': bytes_per_token / middle / bandwidth,
        'tokens': count,
        'runs': seconds,
    }


def as_text(report: dict) -> str:
    """The report for a terminal. Ratios are of this run alone."""
    machine, model = report['machine'], report['model']
    own, *others = report['engines']
    where = machine.get('gpu') or f'{machine["processor"]}, {machine["threads"]} threads, {machine["instructions"]}'
    if machine.get('clock') == 'processor':
        where += ', CPU time'
    versions = ', '.join(f'{k} {machine[k]}' for k in ('torch', 'transformers', 'triton') if k in machine)
    lines = [
        f'machine     {where}; reads {report["bandwidth"] / 1e9:.1f} GB/s',
        f'versions    {versions}, Python {machine["python"]}',
        f'model       {model["name"]}: {model["bits"]}-bit, groups of {model["group_size"]}, '
        f'{"act-order" if model["desc_act"] else "no act-order"}, {format_bytes(model["size"])}',
        f'runs as     {own["running"]}',
        *(f'against     {e["name"]} {e["version"]}, {e["running"]}' for e in others),
        '',
        *_load_lines(report),
        '',
        *_table(own, others),
    ]
    if turn := report.get('second_turn'):
        lines += [
            '',
            f'second turn {turn["new"]} new tokens after {turn["history"]}: first token after '
            f'{turn["seconds_to_first_token"]:.3f} s, {turn["ratio"]:.2f} times the prefill of the new ones alone',
        ]
    if loop := report.get('generate'):
        lines.append(
            f'generate()  {loop["tokens_per_second"]:.1f} tokens/s at context {loop["context"]}: '
            f'{loop["overhead_milliseconds"]:.2f} ms per token more than the bare model'
        )
    return '\n'.join(lines)


def _load_lines(report: dict) -> list[str]:
    load, memory = report['load'], report['memory']
    peak = memory['peak']
    lines = [
        f'load        {load["seconds"]:.1f} s, {load["gb_per_second"]:.2f} GB/s: {load["ratio"]:.1f} times as long as '
        f'reading the file, {load["ratio_into_memory"]:.1f} times as long as reading it into new memory'
    ]
    if disk := load.get('from_disk'):
        lines.append(
            f'from disk   {disk["seconds"]:.1f} s, {disk["ratio"]:.2f} times as long as reading the file from there'
        )
    if peak is not None:
        lines.append(
            f'peak memory {format_bytes(memory["loaded"])} to load, {format_bytes(peak)} with prompts and '
            f'{format_bytes(memory["caches"])} of cache; {format_bytes(memory["before"] or 0)} were there before'
        )
    return lines


def _table(own: dict, others: list[dict]) -> list[str]:
    rows = [['', 'tokens/s', 'GB/s', 'of bandwidth']]
    for other in others:
        rows[0] += [other['name'], 'ratio']
    for kind in ('prefill', 'decode'):
        for count, figure in own[kind].items():
            row = [f'{kind} {"of" if kind == "prefill" else "at"} {count}', f'{figure["tokens_per_second"]:.1f}']
            row += (
                [f'{figure["gb_per_second"]:.2f}', f'{figure["share_of_bandwidth"]:.0%}']
                if kind == 'decode'
                else ['', '']
            )
            for other in others:
                speed = other[kind][count]['tokens_per_second']
                row += [f'{speed:.1f}', f'{figure["tokens_per_second"] / speed:.2f}']
            rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ['  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
