"""The panel and the status line as HTML, and their style sheet. Imports no gradio."""

from __future__ import annotations

from html import escape

from ..preflight.folder_summary import FolderSummary

CSS = """
.gptq-facts table { border-collapse: collapse; width: 100%; font-size: 0.9em; }
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
.gptq-status-line span { display: inline-block; }
.gptq-status-line span:not(:last-child)::after { content: '·'; padding: 0 0.25em 0 0.5em; }
#context-helper { padding: 10px 12px !important; }
"""


def facts_html(summary: FolderSummary, running: str = '') -> str:
    """A table of the summary: name, value, source. `running` adds a row that says how the loaded model runs."""
    rows = [(line.name, line.value, line.source) for line in summary.lines]
    if running:
        rows.append(('running', running, 'now'))
    cells = ''.join('<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>' for row in rows)
    return f'<div class="gptq-facts"><table>{cells}</table></div>'


def status_line_html(*parts: str) -> str:
    """One line of `parts`, without the empty ones."""
    spans = ' '.join(f'<span>{escape(part)}</span>' for part in parts if part)
    return f'<div class="gptq-status-line">{spans}</div>'


def error_html(sentence: str) -> str:
    """An error about a folder, in the place of its table."""
    return f'<div class="gptq-facts gptq-error">{escape(sentence)}</div>'
