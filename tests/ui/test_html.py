"""The panel and the status line as HTML."""

from airoboros_gptq.preflight.folder_summary import read_summary
from airoboros_gptq.ui.html import CSS, error_html, facts_html, status_line_html
from support import TINY


def test_facts_are_rows_of_name_value_and_source():
    html = facts_html(read_summary(TINY, device='cpu'))
    assert html.startswith('<div class="gptq-facts"><table><tr><td>architecture</td><td>LlamaForCausalLM</td>')
    assert '<td>group size</td><td>128</td><td>the shapes of 28 linears, as quantize_config.json says</td>' in html
    assert 'running' not in html


def test_a_loaded_model_has_a_row_more():
    summary = read_summary(TINY, device='cpu')
    row = '<tr><td>running</td><td>reference on &lt;cpu&gt;</td><td>now</td></tr>'
    assert facts_html(summary, 'reference on <cpu>') == facts_html(summary).replace('</table>', f'{row}</table>')


def test_status_line_leaves_empty_parts_out_and_escapes_the_others():
    assert status_line_html('a<b', '', 'c') == '<div class="gptq-status-line"><span>a&lt;b</span> <span>c</span></div>'
    assert status_line_html() == '<div class="gptq-status-line"></div>'


def test_an_error_is_escaped():
    assert error_html('<b> is broken') == '<div class="gptq-facts gptq-error">&lt;b&gt; is broken</div>'


def test_the_style_sheet_has_every_class_that_is_used():
    for selector in ('.gptq-facts', '.gptq-error', '.gptq-status-line', '#gptq-message-footer', '#plainformat'):
        assert f'{selector} {{' in CSS or f'{selector} table {{' in CSS
