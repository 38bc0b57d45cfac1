"""Speeds as bars, in an SVG written by hand: no library for drawing is needed."""

from __future__ import annotations

from html import escape

_COLOURS = ('#2f6f4f', '#9a9a9a', '#c08a3e', '#5a7fb0')
_LEFT, _BAR, _GAP, _WIDTH, _TOP = 190, 18, 14, 420, 64


def draw(reports: list[dict]) -> str:
    """Bars of tokens/s for each length and engine, decode by its scale and prefill by its own. The text stays readable on
    light pages and on dark ones.
    """
    groups = [(report, kind) for report in reports for kind in ('decode', 'prefill')]
    body, y = [], _TOP
    for report, kind in groups:
        y = _group(body, report, kind, y) + _GAP
    machine = reports[0]['machine']
    where = machine.get('gpu') or f'{machine["processor"]}, {machine["threads"]} threads'
    title = f'{reports[0]["model"]["name"]} on {where}'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 110}" height="{y}" '
        f'font-family="sans-serif" font-size="12" fill="#777">\n'
        f'<text x="10" y="22" font-size="14">{escape(title)}</text>\n{_legend(reports)}\n'
        + '\n'.join(body)
        + '\n</svg>\n'
    )


def _group(body: list[str], report: dict, kind: str, y: int) -> int:
    """One kind's bars below `y`; where they end."""
    bars = [
        (i, count, figure)
        for count in report['engines'][0][kind]
        for i, engine in enumerate(report['engines'])
        for figure in [engine[kind][count]]
    ]
    longest = max(figure['tokens_per_second'] for _, _, figure in bars)
    for i, count, figure in bars:
        speed = figure['tokens_per_second']
        width = max(1, round(_WIDTH * speed / longest))
        if i == 0:
            y += 6
            name = f'{kind} {"at" if kind == "decode" else "of"} {count}'
            body.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{name}, tokens/s</text>')
        body.append(f'<rect x="{_LEFT}" y="{y}" width="{width}" height="{_BAR - 2}" fill="{_COLOURS[i % 4]}"/>')
        share = f' ({figure["share_of_bandwidth"]:.0%})' if kind == 'decode' else ''
        body.append(f'<text x="{_LEFT + width + 6}" y="{y + 13}">{speed:.1f}{share}</text>')
        y += _BAR
    return y


def _legend(reports: list[dict]) -> str:
    parts, x = [], 10
    for i, engine in enumerate(reports[0]['engines']):
        parts.append(f'<rect x="{x}" y="34" width="12" height="12" fill="{_COLOURS[i % 4]}"/>')
        parts.append(f'<text x="{x + 17}" y="44">{escape(engine["name"])}</text>')
        x += 40 + 8 * len(engine['name'])
    parts.append(f'<text x="{x}" y="44">(share of the memory bandwidth)</text>')
    return '\n'.join(parts)
