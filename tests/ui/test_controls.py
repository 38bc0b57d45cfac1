"""The components of panel and pages."""

from importlib import import_module

import pytest
from airoboros_gptq.kernels.rules import KERNEL_NAMES

pytest.importorskip('gradio', reason='the components need gradio', exc_type=ImportError)
controls = import_module('airoboros_gptq.ui.controls')


def values(dropdown):
    return [value for _, value in dropdown.choices]


def test_menus_offer_what_there_is_and_start_with_auto():
    kernel, form = controls.kernel_dropdown(), controls.format_dropdown()
    assert values(kernel) == list(KERNEL_NAMES) and kernel.value == 'auto'
    assert values(form) == ['auto', 'gptq', 'gptq_v2'] and form.value == 'auto'


@pytest.mark.parametrize('create', [controls.checkpoint_dropdown, controls.format_dropdown])
def test_an_outdated_name_is_let_through_to_the_loader(create):
    """Gradio would fail every event that reads the page's values."""
    assert create().preprocess('an outdated name') == 'an outdated name'


def test_boxes_start_unticked_and_hidden_as_asked():
    box = controls.plainformat_box(elem_id='the-id', visible=False)
    assert (box.value, box.elem_id, box.visible, box.label) == (False, 'the-id', False, 'PLAINFORMAT')
    assert controls.always_plainformat_box(value=True).value is True


@pytest.mark.parametrize('create', [controls.facts_box, controls.status_line])
def test_html_starts_empty(create):
    assert (create(visible=False).value, create(visible=False).visible) == ('', False)
