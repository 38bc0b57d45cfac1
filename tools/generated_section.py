"""Generated sections of the documentation, from `<!-- made by tools/NAME.py -->` to `<!-- end -->`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
END = '<!-- end -->\n'


def update(path: Path, tool: str, body: str, check: bool) -> bool:
    """Writes `body` into the section of `tool` in the Markdown file at `path`; whether it stood there already.

    With `check` nothing is written. Exits with a sentence where the file has no such section.
    """
    begin = f'<!-- made by tools/{tool}.py -->\n'
    old = path.read_text('utf-8')
    before, found, rest = old.partition(begin)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        sys.exit(
            f'{path} has no section for {tool}: put {begin.strip()} and {END.strip()}, a line each, where it belongs.'
        )
    return update_file(path, f'{before}{begin}\n{body}\n\n{END}{after}', tool, check)


def update_file(path: Path, text: str, tool: str, check: bool) -> bool:
    """Writes a generated file; whether it stood there already. With `check` nothing is written."""
    if path.is_file() and path.read_text('utf-8') == text:
        return True
    name = path.relative_to(ROOT) if ROOT in path.parents else path
    if check:
        print(f'{name} is out of date: run python tools/{tool}.py.', file=sys.stderr)
    else:
        path.write_text(text, 'utf-8')
        print(f'{name}: written.')
    return False


def table(rows: list[list[str]]) -> str:
    """Rows of cells as a Markdown table; the first row is the heading."""
    heading, *rest = [f'| {" | ".join(row)} |' for row in rows]
    return '\n'.join([heading, '|---' * len(rows[0]) + '|', *rest])
