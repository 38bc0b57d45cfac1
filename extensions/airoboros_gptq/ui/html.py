"""The panel and the status line as HTML, and their style sheet. Imports no gradio."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ..preflight.folder_summary import FolderSummary
from ..preflight.short_summary import short_summary, warnings

CSS = """
.gptq-line { width: 100%; padding: 4px 0; border: none; background: none; text-align: left; cursor: pointer; }
.gptq-line span { font-size: 0.88em; }
.gptq-line::before { content: '▸'; display: inline-block; width: 1.2em; opacity: 0.75; }
[data-unfolded] .gptq-line::before { content: '▾'; }
.gptq-line span, .gptq-status-line span { display: inline-block; }
.gptq-line span:not(:last-child)::after,
.gptq-status-line span:not(:last-child)::after { content: '·'; padding: 0 0.2em 0 0.4em; }
.gptq-warning { border-left: 3px solid #d90; padding-left: 10px; margin: 4px 0; }
.gptq-facts table { display: none; border-collapse: collapse; width: 100%; font-size: 0.9em; }
[data-unfolded] .gptq-facts table { display: table; }
.gptq-facts table, .gptq-facts tr, .gptq-facts td { border: none !important; }
.gptq-facts td { padding: 2px 12px 2px 0 !important; vertical-align: top; overflow-wrap: anywhere; min-width: 9.5em; }
.gptq-facts td:first-child { white-space: nowrap; opacity: 0.75; min-width: 0; }
.gptq-facts td:last-child { opacity: 0.6; }
@media (max-width: 700px) { /* on a phone the source of a value stands below it */
    .gptq-facts tr { display: grid; grid-template-columns: 8em 1fr; }
    .gptq-facts td { min-width: 0; }
    .gptq-facts td:last-child { grid-column: 2; padding-bottom: 6px !important; }
}
.gptq-error { border-left: 3px solid #d33; padding-left: 10px; }
#plainformat { min-width: 0; width: fit-content; padding: 2px 0; border: none; background: none; }
#plainformat label { font-size: 0.85em; }
#gptq-message-footer { align-items: center; gap: 4px 16px; flex-wrap: wrap; border: none; background: none; }
#gptq-message-footer > * { flex: 0 1 auto; min-width: 0 !important; width: auto; }
.gptq-status-line { font-size: 0.8em; opacity: 0.65; line-height: 1.4; }
.gptq-checkpoint input { padding-right: 2em; text-overflow: ellipsis; } /* a long name must not run under the arrow */
.gptq-always:not(.hidden) { display: flex; flex-direction: column-reverse; } /* the help text below its box */
#context-helper { padding: 10px 12px !important; }
"""
# A click unfolds the table. The component's own element knows that it is unfolded: what it holds is replaced at each change.
_UNFOLD = "this.parentNode.parentNode.toggleAttribute('data-unfolded')"


def facts_html(summary: FolderSummary, running: str = '') -> str:
    """One line, each warning below it, and a table that the line unfolds: name, value, source. `running` says how the loaded
    model runs.
    """
    line = f'<button type="button" class="gptq-line" onclick="{_UNFOLD}">{_spans(short_summary(summary, running))}</button>'
    notes = ''.join(f'<div class="gptq-warning">{escape(sentence)}</div>' for sentence in warnings(summary))
    rows = [(line.name, line.value, line.source) for line in summary.lines]
    if running:
        rows.append(('running', running, 'now'))
    cells = ''.join('<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>' for row in rows)
    return f'<div class="gptq-facts">{line}{notes}<table>{cells}</table></div>'


def status_line_html(*parts: str) -> str:
    """One line of `parts`, without the empty ones."""
    return f'<div class="gptq-status-line">{_spans(parts)}</div>'


def _spans(parts: Iterable[str]) -> str:
    return ' '.join(f'<span>{escape(part)}</span>' for part in parts if part)


def error_html(sentence: str) -> str:
    """An error about a folder, in the place of its table."""
    return f'<div class="gptq-facts gptq-error">{escape(sentence)}</div>'
