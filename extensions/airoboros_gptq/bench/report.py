"""Figures derived from the measurements, and the report as text."""

from __future__ import annotations

from statistics import median
from typing import Any

from ..util.formatting import format_bytes

Json = dict[str, Any]


def prefill_figure(seconds: list[float], count: int) -> Json:
    """Median speed of a prefill of `count` tokens, from the seconds of each run."""
    median_seconds = median(seconds)
    return {'tokens_per_second': count / median_seconds, 'seconds': median_seconds, 'runs': seconds}


def decode_figure(seconds: list[float], count: int, bytes_per_token: int, bandwidth: float) -> Json:
    """Median speed of decoding `count` tokens, from the seconds of each run, and its share of `bandwidth` in bytes per second."""
    per_token = median(seconds) / count
    return {
        'tokens_per_second': 1 / per_token,
        'milliseconds': 1000 * per_token,
        'bytes_per_token': bytes_per_token,
        'gb_per_second': bytes_per_token / per_token / 1e9,
        'share_of_bandwidth': bytes_per_token / per_token / bandwidth,
        'tokens': count,
        'runs': seconds,
    }


def machine_name(report: Json) -> str:
    """The machine of a report in one line: its GPU, or processor, instruction set and threads."""
    machine = report['machine']
    if 'gpu' in machine:
        return str(machine['gpu'])
    instructions = machine.get('kernel_instructions') or machine['instructions']
    threads = f'{machine["threads"]} thread{"s" * (machine["threads"] != 1)}'
    clock = ', CPU time' if machine.get('clock') == 'processor' else ''
    return f'{machine["processor"]}, {instructions}, {threads}{clock}'


def as_text(report: Json) -> str:
    """The report for a terminal. Ratios compare measurements of this run only."""
    machine, model = report['machine'], report['model']
    own, *others = report['engines']
    versions = ', '.join(f'{k} {machine[k]}' for k in ('torch', 'transformers', 'triton') if k in machine)
    lines = [
        f'machine     {machine_name(report)}; reads {report["bandwidth"] / 1e9:.1f} GB/s',
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
            f'{_duration(turn["seconds_to_first_token"])}, {turn["ratio"]:.2f} times that of the new tokens alone',
        ]
    if loop := report.get('generate'):
        lines.append(
            f'generate()  {loop["tokens_per_second"]:.1f} tokens/s at a context of {loop["context"]} tokens: '
            f'{loop["overhead_milliseconds"]:+.2f} ms per token over the bare model'
        )
    if busy := report.get('busy'):
        lines.append(
            f'busy core   {busy["busy_tokens_per_second"]:.1f} tokens/s at a context of {busy["context"]} tokens beside a '
            f'process that takes a core, {busy["ratio"]:.2f} times the {busy["idle_tokens_per_second"]:.1f} without it'
        )
    return '\n'.join(lines)


def _load_lines(report: Json) -> list[str]:
    load, memory = report['load'], report['memory']
    peak = memory['peak']
    speed = format_bytes(int(1e9 * load['gb_per_second']))
    lines = [
        f'load        {_duration(load["seconds"])}, {speed}/s: {load["ratio"]:.1f} times as long as '
        f'reading the file, {load["ratio_into_memory"]:.1f} times as long as reading it into new memory'
    ]
    if disk := load.get('from_disk'):
        lines.append(
            f'from disk   {_duration(disk["seconds"])}, {disk["ratio"]:.2f} times as long as reading the file from disk'
        )
    if peak is not None:
        lines.append(
            f'peak memory {format_bytes(memory["loaded"])} while loading, {format_bytes(peak)} with prompts, '
            f'{format_bytes(memory["caches"])} of it KV cache; {format_bytes(memory["before"] or 0)} before loading'
        )
    return lines


def _duration(seconds: float) -> str:
    return f'{seconds:.1f} s' if seconds >= 10 else f'{seconds:.2f} s' if seconds >= 1 else f'{1000 * seconds:.0f} ms'


def _table(own: Json, others: list[Json]) -> list[str]:
    rows = [['', 'tokens/s', 'GB/s', 'bandwidth share']]
    for other in others:
        rows[0] += [other['name'], 'ratio']
    for kind in ('prefill', 'decode'):
        for count, figure in own[kind].items():
            row = [
                f'{kind} {"of" if kind == "prefill" else "at"} {count}',
                f'{figure["tokens_per_second"]:.1f}',
                '',
                '',
            ]
            if kind == 'decode':
                row[2:] = f'{figure["gb_per_second"]:.2f}', f'{figure["share_of_bandwidth"]:.0%}'
            for other in others:
                speed = other[kind][count]['tokens_per_second']
                row += [f'{speed:.1f}', f'{figure["tokens_per_second"] / speed:.2f}']
            rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ['  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
