"""How much of the bare model's speed is left in the Chat tab: a real webui and the same folder, in one run.

    python tools/webui_speed.py WEBUI MODEL [--rounds 5] [--at 100] [--without-browser] [--json FILE]

MODEL is a GPTQ folder, or tiny, 1b, 7b for one of random weights. Answers are timed by the webui's own line in its log; the
bare model then reads as many tokens and makes as many, without sampling, in this process. With `--at 100` the model takes at
least 10 ms over each token, in both: Python sleeps for the rest of them, or the GPU is kept busy. Without a
browser the page is asked as it would be (queue_page.py). Run it in the webui's environment.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'extensions')]

# 'Output generated in 2.05 seconds (97.58 tokens/s, 200 tokens, context 28, seed 1)', wrapped where the terminal ends.
_DONE = re.compile(
    r'Output generated in ([\d.]+)\s+seconds\s+\([\d.]+\s+tokens/s,\s+(\d+)\s+tokens,\s+context\s+(\d+),'
)
QUESTION = 'Tell me a long story about the sea.'
SLOW = 'slow_model'
_SLOW_EXTENSION = """
import sys
sys.path.insert(0, {tests!r})
from modules import shared
from webui.slow import slow_down

def state_modifier(state):
    slow_down(shared.model, {seconds})
    return state
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('webui', type=Path)
    parser.add_argument('model')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--at', type=float, metavar='TOKENS_PER_SECOND', help='no faster than this, in both')
    parser.add_argument('--without-browser', action='store_true')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    from airoboros_gptq.bench.shapes import SHAPES
    from airoboros_gptq.bench.synthetic import synthetic_folder

    folder = synthetic_folder(args.model) if args.model in SHAPES else Path(args.model).resolve()
    with tempfile.TemporaryDirectory() as made:
        report = measure(args.webui.resolve(), folder, args, Path(made))
    print(json.dumps(report, indent=1))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')


def measure(source: Path, folder: Path, args, made: Path) -> dict:
    """Chat tab and bare model, turn by turn."""
    import torch
    from airoboros_gptq.bench.machine import describe
    from airoboros_gptq.bench.own_engine import OwnEngine
    from webui import server as webui_server
    from webui.slow import slow_down

    webui = webui_server.copy_webui(source, made / 'webui')
    webui_server.install(webui)
    data = webui_server.data_folder(webui)
    name = f'airoboros-gpt4-1.2-{folder.name}'  # so that its template is found
    (data / 'models' / name).symlink_to(folder)
    settings = {'dark_theme': False, 'preset': 'Airoboros', 'mode': 'instruct', 'airoboros_gptq-load_at_start': name}
    settings |= {'max_new_tokens': 400, 'auto_max_new_tokens': False}
    (data / 'settings.yaml').write_text(json.dumps(settings))
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    own = OwnEngine(folder, device, 'auto', None, lambda done, total: None)
    extensions = ['airoboros_gptq']
    if args.at:
        slow_down(own.model, 1 / args.at)
        extensions.append(SLOW)
        (webui / 'extensions' / SLOW).mkdir()
        text = _SLOW_EXTENSION.format(tests=str(ROOT / 'tests'), seconds=1 / args.at)
        (webui / 'extensions' / SLOW / 'script.py').write_text(text)
    python = webui_server.python_of(source)
    flags = '--extensions', *extensions
    turns = []
    with (
        webui_server.Server(webui, *flags, python=python, cpu=device == 'cpu') as server,
        _page(server.wait().url, args.without_browser) as page,
    ):
        for turn in range(args.rounds + 1):  # the first warms up
            page.new_chat()
            page.ask(QUESTION)
            seconds, tokens, context = map(float, _DONE.findall(' '.join(server.log().split()))[-1])
            count, context = int(tokens), int(context)
            bare = own.prefill(context) + own.decode(context, count)
            if turn:
                turns.append({'tokens': count, 'context': context, 'chat_seconds': seconds, 'bare_seconds': bare})
    over = [1000 * (t['chat_seconds'] - t['bare_seconds']) / t['tokens'] for t in turns]
    speeds = {k: statistics.median(t['tokens'] / t[f'{k}_seconds'] for t in turns) for k in ('chat', 'bare')}
    return {
        'format': 2,
        'machine': describe(device, torch.get_num_threads()),
        'model': folder.name,
        'running': own.running,
        'no_faster_than': args.at,
        'browser': not args.without_browser,
        'chat_tokens_per_second': speeds['chat'],
        'bare_tokens_per_second': speeds['bare'],
        'milliseconds_per_token_more': statistics.median(over),
        'slower_by': 1 - speeds['chat'] / speeds['bare'],
        'turns': turns,
    }


@contextlib.contextmanager
def _page(url: str, without_browser: bool):
    """A page with new_chat() and ask()."""
    if without_browser:
        from webui.queue_page import QueuePage

        yield QueuePage(url)
        return
    from playwright.sync_api import sync_playwright
    from webui.driver import Page

    with sync_playwright() as play:
        executable = os.environ.get('CHROMIUM') or shutil.which('chromium') or None
        browser = play.chromium.launch(executable_path=executable, args=['--no-sandbox'])
        yield Page(browser, url)
        browser.close()


if __name__ == '__main__':
    main()
