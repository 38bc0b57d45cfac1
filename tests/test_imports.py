"""What an import brings in: a menu, a panel or `--help` must not wait for torch."""

import pytest
from support import EXTENSIONS, run_python

HEAVY = ('torch', 'transformers', 'gradio', 'numpy', 'safetensors', 'tokenizers', 'accelerate')
LIGHT = {
    'package': 'import airoboros_gptq',
    'cli': 'import airoboros_gptq.cli as c; c._parser()',
    'facts': (
        'from airoboros_gptq.preflight import folder_summary; from airoboros_gptq.airoboros import conversation; '
        'from airoboros_gptq.kernels import rules; from airoboros_gptq.checkpoint import hub'
    ),
    'a folder summary': (
        'from airoboros_gptq.preflight.folder_summary import read_summary; import support; read_summary(support.TINY)'
    ),
    'view': 'import airoboros_gptq.ui.html',
    'script.py, as the webui loads it': (
        'import importlib.util as u; s = u.spec_from_file_location("extensions.x.script", '
        f'{str(EXTENSIONS / "airoboros_gptq" / "script.py")!r}); m = u.module_from_spec(s); s.loader.exec_module(m); '
        'assert m.custom_css()'
    ),
}


@pytest.mark.parametrize('what', LIGHT)
def test_imports_nothing_heavy(what):
    heavy = f'print([m for m in {HEAVY} if m in sys.modules])'
    here = f'import sys; sys.path.append({str(EXTENSIONS.parent / "tests" / "helpers")!r})\n'
    code, out, err = run_python('-c', f'{here}{LIGHT[what]}\n{heavy}')
    assert (code, out.strip()) == (0, '[]'), err


def test_starting_in_a_webui_brings_in_no_torch():
    """Newer webuis start without it, and wait for no import but their own."""
    standin = EXTENSIONS.parent / 'tests' / 'standin'
    names = [p.stem for p in (standin / 'modules').glob('*.py')]
    program = (
        f'import importlib, sys; sys.path[:0] = [{str(standin)!r}]; import importlib.util as u\n'
        f'for name in {names}: importlib.import_module(f"modules.{{name}}")\n'
        'before = set(sys.modules)\n'
        f's = u.spec_from_file_location("extensions.x.script", {str(EXTENSIONS / "airoboros_gptq" / "script.py")!r})\n'
        'm = u.module_from_spec(s); s.loader.exec_module(m); m.setup()\n'
        'new = set(sys.modules) - before\n'
        'assert "airoboros_gptq.webui.loader" in new\n'
        'print([m for m in ("torch", "transformers", "accelerate", "safetensors") if m in new])'
    )
    code, out, err = run_python('-c', program)
    assert (code, out.strip().splitlines()[-1]) == (0, '[]'), err


def test_public_names():
    import airoboros_gptq

    for name in airoboros_gptq.__all__:
        assert getattr(airoboros_gptq, name) is not None
    with pytest.raises(AttributeError, match='nonsense'):
        _ = airoboros_gptq.nonsense


def test_kernel_names_of_the_menu_are_those_there_are():
    from airoboros_gptq.kernels.registry import KERNELS
    from airoboros_gptq.kernels.rules import KERNEL_NAMES

    assert ('auto', *(k.name for k in KERNELS)) == KERNEL_NAMES
