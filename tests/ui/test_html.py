"""The panel and the status line as HTML."""

from airoboros_gptq.preflight.folder_summary import read_summary
from airoboros_gptq.ui.html import CSS, error_html, facts_html, status_line_html
from support import TINY, edit_json


def test_facts_are_one_line_and_rows_of_name_value_and_source():
    html = facts_html(read_summary(TINY, device='cpu'))
    line, table = html.split('<table>')
    assert '<span>4-bit</span> <span>128g</span> <span>no act-order</span> <span>3.62 MB</span> <span>needs ' in line
    assert table.startswith('<tr><td>architecture</td><td>LlamaForCausalLM</td>')
    assert '<td>group size</td><td>128</td><td>the shapes of 35 linears, as quantize_config.json says</td>' in table
    assert 'running' not in html and 'gptq-warning' not in html


def test_a_loaded_model_says_how_it_runs_in_the_line_and_in_a_row():
    html = facts_html(read_summary(TINY, device='cpu'), 'reference on <cpu>')
    assert '<span>running: reference on &lt;cpu&gt;</span>' in html and 'needs' not in html
    assert html.endswith('<tr><td>running</td><td>reference on &lt;cpu&gt;</td><td>now</td></tr></table></div>')


def test_what_was_overruled_stands_outside_the_table_that_folds(tiny_copy):
    edit_json(tiny_copy / 'quantize_config.json', bits=8)
    line, _ = facts_html(read_summary(tiny_copy, device='cpu')).split('<table>')
    overruled = 'quantize_config.json says bits is 8; the tensors have 4, and that is used.'
    assert f'</button><div class="gptq-warning">{overruled}</div>' in line


def test_status_line_leaves_empty_parts_out_and_escapes_the_others():
    assert status_line_html('a<b', '', 'c') == '<div class="gptq-status-line"><span>a&lt;b</span> <span>c</span></div>'
    assert status_line_html() == '<div class="gptq-status-line"></div>'


def test_an_error_is_escaped():
    assert error_html('<b> is broken') == '<div class="gptq-facts gptq-error">&lt;b&gt; is broken</div>'


MORE = ('.gptq-line', '.gptq-warning', '.gptq-checkpoint input', '.gptq-always:not(.hidden)')


def test_the_style_sheet_has_every_class_that_is_used():
    for selector in ('.gptq-facts', '.gptq-error', '.gptq-status-line', '#gptq-message-footer', '#plainformat', *MORE):
        assert f'{selector} {{' in CSS or f'{selector} table {{' in CSS
