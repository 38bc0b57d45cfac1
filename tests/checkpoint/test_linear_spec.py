"""Widths and the parts of a quantised linear: each list is written once, here, and everything else uses it."""

import ast

import pytest
from airoboros_gptq.checkpoint.linear_spec import BITS, TENSOR_PARTS, LinearSpec
from support import EXTENSIONS

SOURCES = sorted((EXTENSIONS / 'airoboros_gptq').rglob('*.py'))


def literals(path):
    """The tuples and lists of constants in a file."""
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, (ast.Tuple, ast.List)) and all(isinstance(e, ast.Constant) for e in node.elts):
            yield tuple(e.value for e in node.elts)


@pytest.mark.parametrize('listed', [BITS, TENSOR_PARTS], ids=['bits', 'parts'])
def test_a_list_is_written_once(listed):
    holders = [path.name for path in SOURCES for found in literals(path) if found == listed]
    assert holders == ['linear_spec.py']


def test_a_spec_can_be_a_key():
    spec = LinearSpec(256, 64, 4, 128, desc_act=False)
    assert {spec: 1}[LinearSpec(256, 64, 4, 128, False, 'gptq', False)] == 1
