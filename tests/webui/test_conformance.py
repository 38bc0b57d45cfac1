"""Compares the stand-in (tests/standin) with the webui's source: its functions and variables must exist there."""

import ast
from pathlib import Path

import pytest

from .conftest import WEBUI
from .dialect import needs
from .server import ROOT

pytestmark = needs('the stub webui of the unit tests (written after v4.1)')
STANDIN = ROOT / 'tests' / 'standin' / 'modules'
# Each module of the stand-in is compared with the webui's module of the same name.
FILES = sorted(f.name for f in STANDIN.glob('*.py') if f.name != '__init__.py')


def functions(file: Path) -> dict[str, list[str]]:
    """Names and parameters of a module's functions, without importing it."""
    found = {}
    for node in ast.parse(file.read_text('utf-8')).body:
        if isinstance(node, ast.FunctionDef):
            a = node.args
            found[node.name] = [p.arg for p in (*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg) if p]
    return found


def variables(file: Path) -> set[str]:
    """The public variables of a module."""
    assigned = [
        node for node in ast.parse(file.read_text('utf-8')).body if isinstance(node, (ast.Assign, ast.AnnAssign))
    ]
    stores = [
        n for node in assigned for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    ]
    return {n.id for n in stores if not n.id.startswith('_')}


def imported_by_value(file: Path) -> set[str]:
    """Names that a module imports by value, `from modules.models import load_model`: they are patched there too."""
    nodes = [n for n in ast.parse(file.read_text('utf-8')).body if isinstance(n, ast.ImportFrom)]
    return {alias.name for n in nodes if n.module and n.module.startswith('modules.') for alias in n.names}


@pytest.mark.parametrize('name', FILES)
def test_stand_in_has_the_webuis_functions_and_parameters(name):
    real, standin = functions(Path(WEBUI) / 'modules' / name), functions(STANDIN / name)
    assert {f: real.get(f) for f in standin} == standin


@pytest.mark.parametrize('name', FILES)
def test_stand_in_has_no_name_that_the_webui_lacks(name):
    real, standin = Path(WEBUI) / 'modules' / name, STANDIN / name
    assert variables(standin) <= variables(real)
    assert imported_by_value(standin) <= imported_by_value(real)
