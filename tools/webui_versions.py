"""Which versions of the webui pass tests/webui: fetches one, drives it, keeps the result; writes the README's table.

    python tools/webui_versions.py run REF --python EXE [--from GIT] [--again] [-- arguments of pytest]
    python tools/webui_versions.py table

`run` takes a tag, branch or commit of the webui from GIT (a folder or an address; its home if none is given) and runs
the suite in a copy, with EXE as the webui's own Python. What passed is kept in tests/webui/versions.json, a row for
each REF; the exit code is pytest's. `--again` runs what failed there the last time, after it was mended, and counts that
into the row. Run it with the Python of .venv, or as `python install.py test --webui-ref REF`.
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

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / 'tests' / 'webui' / 'versions.json'
README = ROOT / 'README.md'
BEGIN, END = '<!-- made by tools/webui_versions.py -->\n', '<!-- end -->\n'
HOME = 'https://github.com/oobabooga/textgen'
# Word lists of an extension: megabytes that no test needs, and that some mirrors do not carry.
NOT_FETCHED = 'extensions/superboogav2/nltk_data'
_LACKS = 'this webui lacks '  # as conftest.py says it
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
    """passed, skipped and failed of a JUnit report, which tests failed, and what the webui lacks. A test that passed and
    left an error behind has failed.
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
        'lacks': sorted(lacks),
        'red': red,
    }


def merged(before: dict, again: dict) -> dict:
    """A row after what was red in it was run again."""
    missing = len(before['red']) - sum(again[kind] for kind in ('passed', 'skipped', 'failed'))
    if missing > 0:
        raise ValueError(f'{missing} of the tests that failed before did not run again.')
    counted = {kind: before[kind] + again[kind] for kind in ('passed', 'skipped')}
    lacks = sorted({*before['lacks'], *again['lacks']})
    return {**before, **counted, 'failed': again['failed'], 'red': again['red'], 'lacks': lacks, 'date': again['date']}


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
    """The README's table, a line for each version of the webui."""
    lines = [
        '| webui | Python | gradio | transformers | suite | passed | skipped | failed | it lacks | date |',
        '|---' * 10 + '|',
    ]
    for ref in newest_first(rows):
        row = rows[ref]
        cells = [
            ref,
            *(str(row[k]) for k in ('python', 'gradio', 'transformers', 'suite', 'passed', 'skipped', 'failed')),
        ]
        lines.append(f'| {" | ".join([*cells, "; ".join(row["lacks"]) or "-", row["date"]])} |')
    return '\n'.join(lines)


def main(argv: list[str]) -> int:
    cut = argv.index('--') if '--' in argv else len(argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('table')
    runner = commands.add_parser('run')
    runner.add_argument('ref', metavar='REF')
    runner.add_argument('--python', metavar='EXE', required=True, help="the webui's own Python")
    runner.add_argument('--from', metavar='GIT', dest='source', default=HOME)
    runner.add_argument('--again', action='store_true', help='only what failed the last time')
    args = parser.parse_args(argv[:cut])
    if args.command == 'run':
        return run(args.ref, args.python, args.source, argv[cut + 1 :], args.again)
    text = README.read_text('utf-8')
    if BEGIN not in text:
        sys.exit(
            f'{README} has no line {BEGIN.strip()}: put it, and {END.strip()} after it, where the table is to stand.'
        )
    before, _, after = text.partition(BEGIN)
    made = table(json.loads(KEPT.read_text('utf-8')))
    README.write_text(f'{before}{BEGIN}\n{made}\n\n{END}{after.partition(END)[2]}', 'utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
