"""A bar chart of speeds, written as SVG without a drawing library."""

from __future__ import annotations

from html import escape

from .report import Json, machine_name

_COLOURS = ('#2f6f4f', '#9a9a9a', '#c08a3e', '#5a7fb0', '#8a5a8a')
_LEFT, _BAR, _GAP, _WIDTH, _TOP = 190, 18, 14, 420, 46


def draw(reports: list[Json]) -> str:
    """The SVG: a heading for each report, a bar of tokens/s for each length and engine; decode and prefill have a scale each.
    The text is readable on light and dark pages.
    """
    names = list(dict.fromkeys(engine['name'] for report in reports for engine in report['engines']))
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
    body: list[str] = []
    y = _TOP
    for report in reports:
        y += _GAP
        title = f'{report["model"]["name"]} on {machine_name(report)}'
        body.append(f'<text x="10" y="{y + 12}" font-size="14">{escape(title)}</text>')
        y += 20
        for kind in ('decode', 'prefill'):
            y = _group(body, report, kind, colours, y) + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 110}" height="{y}" '
        f'font-family="sans-serif" font-size="12" fill="#777">\n{_legend(colours)}\n' + '\n'.join(body) + '\n</svg>\n'
    )


def _group(body: list[str], report: Json, kind: str, colours: dict[str, str], y: int) -> int:
    """Adds the bars of prefill or of decode below `y`, and returns where they end."""
    bars = [
        (engine['name'], count, engine[kind][count])
        for count in report['engines'][0][kind]
        for engine in report['engines']
    ]
    fastest = max(figure['tokens_per_second'] for _, _, figure in bars)
    labelled = None  # the length that the last label named
    for name, count, figure in bars:
        speed = figure['tokens_per_second']
        width = max(1, round(_WIDTH * speed / fastest))
        if count != labelled:
            labelled = count
            y += 6
            label = f'{kind} {"at" if kind == "decode" else "of"} {count}, tokens/s'
            body.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{label}</text>')
        body.append(f'<rect x="{_LEFT}" y="{y}" width="{width}" height="{_BAR - 2}" fill="{colours[name]}"/>')
        share = f' ({figure["share_of_bandwidth"]:.0%})' if kind == 'decode' else ''
        body.append(f'<text x="{_LEFT + width + 6}" y="{y + 13}">{speed:.1f}{share}</text>')
        y += _BAR
    return y


def _legend(colours: dict[str, str]) -> str:
    parts, x = [], 10
    for name, colour in colours.items():
        parts.append(f'<rect x="{x}" y="14" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17}" y="24">{escape(name)}</text>')
        x += 40 + 8 * len(name)
    parts.append(f'<text x="{x}" y="24">(share of the memory bandwidth)</text>')
    return '\n'.join(parts)
