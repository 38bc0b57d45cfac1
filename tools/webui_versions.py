"""Runs tests/webui against a version of the webui, and writes the table of versions in docs/webui.md.

    python tools/webui_versions.py run REF --python EXE [--from GIT] [--again] [-- arguments of pytest]
    python tools/webui_versions.py table [--check]

`run` fetches a tag, branch or commit of the webui from GIT (a folder or an address; default: the webui's repository) and
runs the tests in a copy, with EXE as the webui's Python. The counts are kept in tests/webui/versions.json, a row for each
REF; the exit code is pytest's. `--again` runs the tests that failed there the last time and updates the row. Run it with
the Python of .venv, or as `python install.py test --webui-ref REF`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

import generated_section
from generated_section import ROOT

TOOL = 'webui_versions'
KEPT = ROOT / 'tests' / 'webui' / 'versions.json'
PAGE = ROOT / 'docs' / 'webui.md'
HOME = 'https://github.com/oobabooga/textgen'
# Word lists of an extension: megabytes that no test needs, and that some mirrors do not carry.
NOT_FETCHED = 'extensions/superboogav2/nltk_data'
_LACKS = 'this webui lacks '  # how tests/webui/conftest.py begins the reason of a skip
_PROMPT_CACHE_SINCE = 4, 54  # transformers; before, generate() is transformers' own
_TORCH_2_6_SINCE = (2, 7)  # the webui's release
_VERSIONS = """
import importlib.metadata as m, json, platform
print(json.dumps({'python': platform.python_version(), **{n: m.version(n) for n in ('gradio', 'transformers')}}))
"""


def fetch(ref: str, source: str, target: Path) -> None:
    """The webui's tree at `ref` into the new folder `target`. Raises CalledProcessError where git has no such thing."""
    if Path(source).is_dir():
        archive = target.parent / 'webui.tar'
        paths = ['--', '.', f':(exclude){NOT_FETCHED}']
        subprocess.run(['git', '-C', source, 'archive', f'--output={archive}', ref, *paths], check=True)
        target.mkdir()
        subprocess.run(['tar', '-xf', archive, '-C', target], check=True)
    else:
        subprocess.run(['git', 'clone', '--quiet', '--depth', '1', '--branch', ref, source, target], check=True)


def counts(report: Path) -> dict:
    """Counts of a JUnit report, the tests that failed, and the features that were not tested as the webui lacks them.
    A test that passed and whose teardown failed has failed.
    """
    state: dict[tuple, str] = {}
    lacks = set()
    for case in xml.parse(report).getroot().iter('testcase'):
        key = (case.get('classname'), case.get('name'))
        tags = {child.tag: child for child in case}
        if 'failure' in tags or 'error' in tags:
            state[key] = 'failed'
        elif 'skipped' in tags:
            state.setdefault(key, 'skipped')
            reason = tags['skipped'].get('message') or ''
            lacks |= {reason.removeprefix(_LACKS)} if reason.startswith(_LACKS) else set()
        else:
            state.setdefault(key, 'passed')
    found = list(state.values())
    red = sorted(f'{kind.replace(".", "/")}.py::{name}' for (kind, name), how in state.items() if how == 'failed')
    return {
        **{kind: found.count(kind) for kind in ('passed', 'skipped', 'failed')},
        'not_tested': sorted(lacks),
        'red': red,
    }


def merged(before: dict, again: dict) -> dict:
    """A row after what was red in it was run again."""
    missing = len(before['red']) - sum(again[kind] for kind in ('passed', 'skipped', 'failed'))
    if missing > 0:
        raise ValueError(f'{missing} of the tests that failed before did not run again.')
    counted = {kind: before[kind] + again[kind] for kind in ('passed', 'skipped')}
    lacks = sorted({*before['not_tested'], *again['not_tested']})
    return {
        **before,
        **counted,
        'failed': again['failed'],
        'red': again['red'],
        'not_tested': lacks,
        'date': again['date'],
    }


def run(ref: str, python: str, source: str, rest: list[str], again: bool = False) -> int:
    """Fetches, drives and keeps the row; pytest's exit code."""
    kept = json.loads(KEPT.read_text('utf-8')) if KEPT.exists() else {}
    red = kept.get(ref, {}).get('red', []) if again else []
    if again and not red:
        sys.exit(f'{ref}: no test of the last run failed, so there is none to run again.')
    with tempfile.TemporaryDirectory() as made:
        webui, report = Path(made) / 'webui', Path(made) / 'report.xml'
        fetch(ref, source, webui)
        env = {**os.environ, 'AIROBOROS_WEBUI': str(webui), 'AIROBOROS_WEBUI_PYTHON': os.path.abspath(python)}
        command = [sys.executable, '-m', 'pytest', '-ra', f'--junitxml={report}', *(red or ['tests/webui']), *rest]
        code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
        if not report.exists():
            sys.exit(f'{ref}: pytest ended without a report, see above.')
        versions = json.loads(subprocess.run([python, '-c', _VERSIONS], capture_output=True, check=True).stdout)
        row = {
            'date': datetime.date.today().isoformat(),
            'suite': ' '.join(rest) or 'all',
            **versions,
            **counts(report),
        }
    kept = json.loads(KEPT.read_text('utf-8')) if KEPT.exists() else {}  # another version's may have come meanwhile
    row = merged(kept[ref], row) if again else row
    KEPT.write_text(json.dumps({**kept, ref: row}, indent=2, sort_keys=True) + '\n', 'utf-8')
    print(f'{ref}: {json.dumps(row)}')
    return code


def newest_first(refs) -> list[str]:
    """v4.10 before v4.9; what is no number, a branch, before all."""
    return sorted(refs, key=lambda r: ([-int(n) for n in re.findall(r'\d+', r)] if re.match(r'v\d', r) else [], r))


def table(rows: dict[str, dict]) -> str:
    """The page's table, a line for each version of the webui."""
    keys = ['python', 'gradio', 'transformers', 'suite', 'passed', 'skipped', 'failed']
    lines = [['webui', 'Python', *keys[1:], 'not tested', 'limits', 'date']]
    for ref in newest_first(rows):
        row = rows[ref]
        not_tested = '; '.join(row['not_tested']) or '-'
        lines.append([ref, *(str(row[key]) for key in keys), not_tested, limits(ref, row), row['date']])
    return generated_section.table(lines)


def limits(ref: str, row: dict) -> str:
    """What the extension cannot do in a version of the webui."""
    version = tuple(int(n) for n in re.findall(r'\d+', row['transformers'])[:2])
    without = [] if version >= _PROMPT_CACHE_SINCE else ['no prompt caching (transformers < 4.54)']
    release = tuple(int(n) for n in re.findall(r'\d+', ref)[:2]) if re.match(r'v\d', ref) else _TORCH_2_6_SINCE
    if release < _TORCH_2_6_SINCE:
        without.append('no pickles (it installs PyTorch 2.4.1, and they are refused before 2.6)')
    return '; '.join(without) or '-'


def main(argv: list[str]) -> int:
    cut = argv.index('--') if '--' in argv else len(argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    writer = commands.add_parser('table')
    writer.add_argument('--check', action='store_true', help='exit with 1 where the table is out of date')
    runner = commands.add_parser('run')
    runner.add_argument('ref', metavar='REF')
    runner.add_argument('--python', metavar='EXE', required=True, help="the webui's own Python")
    runner.add_argument('--from', metavar='GIT', dest='source', default=HOME)
    runner.add_argument('--again', action='store_true', help='only what failed the last time')
    args = parser.parse_args(argv[:cut])
    if args.command == 'run':
        return run(args.ref, args.python, args.source, argv[cut + 1 :], args.again)
    body = table(json.loads(KEPT.read_text('utf-8')))
    current = generated_section.update(PAGE, TOOL, body, args.check)
    return 1 if args.check and not current else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
