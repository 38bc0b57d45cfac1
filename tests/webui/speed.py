"""How much of the bare model's speed is left in the Chat tab: a real webui, a real browser, the same folder in one run.

    python tests/webui/speed.py WEBUI MODEL [--rounds 5] [--json FILE]

MODEL is a GPTQ folder, or tiny, 1b, 7b for one of random weights. Answers are timed by the webui's own line in its log; the
bare model then reads as many tokens and makes as many, without sampling, in this process. Run it in the webui's environment.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'extensions')]

# 'Output generated in 2.05 seconds (97.58 tokens/s, 200 tokens, context 28, seed 1)', wrapped where the terminal ends.
_DONE = re.compile(
    r'Output generated in ([\d.]+)\s+seconds\s+\([\d.]+\s+tokens/s,\s+(\d+)\s+tokens,\s+context\s+(\d+),'
)
QUESTION = 'Tell me a long story about the sea.'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('webui', type=Path)
    parser.add_argument('model')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    from airoboros_gptq.bench.synthetic import SHAPES, synthetic_folder

    folder = synthetic_folder(args.model) if args.model in SHAPES else Path(args.model).resolve()
    with tempfile.TemporaryDirectory() as made:
        report = measure(args.webui.resolve(), folder, args.rounds, Path(made))
    print(json.dumps(report, indent=1))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')


def measure(source: Path, folder: Path, rounds: int, made: Path) -> dict:
    """Chat tab and bare model, turn by turn."""
    import torch
    from airoboros_gptq.bench.machine import describe
    from airoboros_gptq.bench.ours import Ours
    from playwright.sync_api import sync_playwright

    from webui import server as webui_server
    from webui.driver import Page

    webui = webui_server.copy_webui(source, made / 'webui')
    webui_server.install(webui)
    data = webui_server.data_folder(webui)
    name = f'airoboros-gpt4-1.2-{folder.name}'  # so that template and preset set themselves
    (data / 'models' / name).symlink_to(folder)
    (data / 'settings.yaml').write_text('dark_theme: false\n')
    ours = Ours(folder, 'cpu', 'auto', None, lambda done, total: None)
    python = webui_server.python_of(source)
    turns = []
    with (
        webui_server.Server(webui, '--extensions', 'airoboros_gptq', python=python) as server,
        sync_playwright() as play,
    ):
        server.wait()
        browser = play.chromium.launch(
            executable_path=os.environ.get('CHROMIUM') or shutil.which('chromium') or None, args=['--no-sandbox']
        )
        page = Page(browser, server.url)
        page.load(name)
        for _ in range(rounds):
            page.new_chat()
            page.ask(QUESTION)
            seconds, tokens, context = map(float, _DONE.findall(' '.join(server.log().split()))[-1])
            count, context = int(tokens), int(context)
            bare = ours.prefill(context) + ours.decode(context, count)
            turns.append({'tokens': count, 'context': context, 'chat_seconds': seconds, 'bare_seconds': bare})
        browser.close()
    over = [1000 * (t['chat_seconds'] - t['bare_seconds']) / t['tokens'] for t in turns]
    speeds = {k: statistics.median(t['tokens'] / t[f'{k}_seconds'] for t in turns) for k in ('chat', 'bare')}
    return {
        'format': 1,
        'machine': describe('cpu', torch.get_num_threads()),
        'model': folder.name,
        'running': ours.running,
        'chat_tokens_per_second': speeds['chat'],
        'bare_tokens_per_second': speeds['bare'],
        'milliseconds_per_token_more': statistics.median(over),
        'cost_at_100_tokens_per_second': statistics.median(over) / (10 + statistics.median(over)),
        'turns': turns,
    }


if __name__ == '__main__':
    main()
