"""What the panel shows, as HTML. Needs no gradio."""

from __future__ import annotations

from html import escape

from ..preflight.folder_summary import FolderSummary

CSS = """
.gptq-facts table { border-collapse: collapse; width: 100%; font-size: 0.9em; }
.gptq-facts table, .gptq-facts tr, .gptq-facts td { border: none !important; }
.gptq-facts td { padding: 2px 12px 2px 0 !important; vertical-align: top; overflow-wrap: anywhere; min-width: 9.5em; }
.gptq-facts td:first-child { white-space: nowrap; opacity: 0.75; min-width: 0; }
.gptq-facts td:last-child { opacity: 0.6; }
@media (max-width: 700px) { /* on a phone, where a value comes from stands below it */
    .gptq-facts tr { display: grid; grid-template-columns: 8em 1fr; }
    .gptq-facts td { min-width: 0; }
    .gptq-facts td:last-child { grid-column: 2; padding-bottom: 6px !important; }
}
.gptq-error { border-left: 3px solid #d33; padding-left: 10px; }
#plainformat { min-width: 0; width: fit-content; padding: 2px 0; border: none; background: none; }
#plainformat label { font-size: 0.85em; }
#gptq-below-message { align-items: center; gap: 4px 16px; flex-wrap: wrap; border: none; background: none; }
#gptq-below-message > * { flex: 0 1 auto; min-width: 0 !important; width: auto; }
.gptq-glance { font-size: 0.8em; opacity: 0.65; line-height: 1.4; }
.gptq-glance span { display: inline-block; }
.gptq-glance span:not(:last-child)::after { content: '·'; padding: 0 0.25em 0 0.5em; }
#context-helper { padding: 10px 12px !important; }
"""


def facts_html(facts: FolderSummary, loaded: str = '') -> str:
    """A table of what was read: name, value, where it came from. `loaded` adds how it runs, once it does."""
    rows = [(f.name, f.value, f.source) for f in facts.lines]
    if loaded:
        rows.append(('running', loaded, 'now'))
    cells = ''.join('<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>' for row in rows)
    return f'<div class="gptq-facts"><table>{cells}</table></div>'


def glance_html(*parts: str) -> str:
    """One line of what there is to say; a part that is empty is left out."""
    return f'<div class="gptq-glance">{" ".join(f"<span>{escape(part)}</span>" for part in parts if part)}</div>'


def error_html(sentence: str) -> str:
    """A sentence about what is wrong with a folder."""
    return f'<div class="gptq-facts gptq-error">{escape(sentence)}</div>'
