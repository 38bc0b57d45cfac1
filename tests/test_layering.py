"""The rooms of the package and what each may import, lazy imports included: docs/design.md has the drawing."""

from __future__ import annotations

import ast
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from support import EXTENSIONS, ROOT

PACKAGE = EXTENSIONS / 'airoboros_gptq'
TESTS = ROOT / 'tests'
# Room: the rooms, or single modules of rooms, that it may import. A room always may import itself.
ALLOWED = {
    'clean_text': set(),
    'errors': {'clean_text'},
    'names': set(),
    'util': {'errors'},
    'checkpoint': {'clean_text', 'errors', 'util'},
    'airoboros': {'errors', 'util'},
    'kernels': {'errors', 'util', 'checkpoint.linear_spec', 'checkpoint.tensor_info'},
    'preflight': {'clean_text', 'errors', 'util', 'checkpoint', 'airoboros', 'kernels.rules', 'kernels.slow_kernels'},
    'generation': {'errors', 'util', 'names', 'kernels', 'airoboros'},
    'model': {'errors', 'util', 'checkpoint', 'kernels', 'preflight', 'generation.runtime'},
    'session': {'errors', 'checkpoint', 'preflight', 'airoboros', 'model', 'generation'},
    'ui': {'errors', 'preflight', 'airoboros', 'kernels.rules', 'checkpoint.quantize_config'},
    'demo': {'clean_text', 'errors', 'util', 'ui', 'session', 'airoboros', 'generation', 'checkpoint'},
    'webui': {
        *('errors', 'names', 'ui', 'session', 'preflight', 'airoboros', 'model', 'generation', 'checkpoint'),
        'kernels.rules',
    },
    'bench': {
        '__init__',
        'errors',
        'util',
        'preflight',
        'model',
        'generation',
        'kernels',
        'checkpoint',
        'real_model.source',
    },
    'real_model': {'errors', 'util'},
    'script': {'webui', 'ui', 'names'},
    '__main__': {'cli'},
    '__init__': {'errors', 'model', 'clean_text'},
}
ALLOWED['cli'] = set(ALLOWED) - {'webui', 'script', '__main__'}
# At import these need the standard library and each other only.
STDLIB = {
    *('clean_text', 'errors', 'names', 'util', 'checkpoint', 'airoboros', 'preflight', 'kernels.rules', 'real_model'),
    *('kernels.cpu.compile', 'kernels.cpu.library_cache', 'kernels.slow_kernels'),
    *('session', 'cli', '__init__', '__main__', 'script'),
    *('model.load', 'model.progress'),  # the hint to read a checkpoint ahead goes before the import of torch
}
# Foreign package: the rooms that may import it, at any depth.
FOREIGN = {
    # A pickle's headers are in the pickle: checkpoint.torch_pickle has torch read them, when there is such a file.
    'torch': {'kernels', 'model', 'generation', 'bench', 'checkpoint.torch_pickle'},
    'transformers': {'model', 'generation', 'bench'},
    'safetensors': {'model', 'bench', 'real_model.make_folder'},
    'tokenizers': {'model', 'generation', 'real_model.gguf_tokenizer'},
    'sentencepiece': {'model'},
    'accelerate': {'model', 'bench'},
    'huggingface_hub': {'checkpoint.hub'},
    'triton': {'kernels.triton', 'generation.fused_decode'},
    'gradio': {'ui', 'demo', 'webui'},
    'starlette': {'demo.app'},  # the server that gradio runs on
    'modules': {'webui'},
    'yaml': {'webui'},  # the webui's own: config-user.yaml, instruction templates
    'psutil': {'util', 'real_model.get_model'},
    'tqdm': {'model', 'bench', 'real_model.command'},
    'numpy': {'bench', 'real_model'},
    # Engines that bench measures beside this one, each in its own process.
    'exllamav2': {'bench.engines.exllamav2'},
    'llama_cpp': {'bench.engines.llama_cpp'},
    'gguf': {'bench.engines.llama_cpp', 'real_model'},
}


@lru_cache
def modules() -> dict[str, tuple[ast.Module, Path]]:
    """'kernels.rules': (its syntax tree, its file); a package goes by its own name, the root's as '__init__'."""
    found = {}
    for path in sorted(PACKAGE.rglob('*.py')):
        name = '.'.join(path.relative_to(PACKAGE).with_suffix('').parts)
        found[name.removesuffix('.__init__')] = (ast.parse(path.read_text('utf-8')), path)
    return found


@lru_cache
def imports(name: str) -> list[tuple[str, bool, bool]]:
    """(target, is it foreign, is it at module level) for each import of a module; typing-only ones are left out."""
    tree, path = modules()[name]
    package = path.relative_to(PACKAGE).parent.parts
    found: list[tuple[str, bool, bool]] = []

    def visit(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and 'TYPE_CHECKING' in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, True, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and not child.level:
                found.append((child.module, True, top))
            elif isinstance(child, ast.ImportFrom):
                base = (*package[: len(package) - child.level + 1], *(child.module or '').split('.'))
                at = '.'.join(part for part in base if part)
                for alias in child.names:
                    inner = f'{at}.{alias.name}'.lstrip('.')
                    found.append((inner if inner in modules() else at or '__init__', False, top))
            visit(child, top and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))

    visit(tree, True)
    return found


def within(name: str, rooms) -> bool:
    """Whether a module is, or lies in, one of `rooms`."""
    return any(name == room or name.startswith(f'{room}.') for room in rooms)


def room_of(name: str) -> str:
    return name.split('.')[0]


@pytest.mark.parametrize('name', modules())
def test_a_room_imports_what_it_may(name):
    room = room_of(name)
    outside = {to for to, foreign, _ in imports(name) if not foreign and room_of(to) != room}
    assert not {to for to in outside if not within(to, ALLOWED[room])}


@pytest.mark.parametrize('name', [name for name in modules() if within(name, STDLIB)])
def test_the_standard_library_is_enough_at_import(name):
    top = [(to, foreign) for to, foreign, at_top in imports(name) if at_top]
    assert not {to for to, foreign in top if foreign and to.split('.')[0] not in sys.stdlib_module_names}
    # A package's own __init__ runs too.
    assert not {to for to, foreign in top if not foreign and not within(to, STDLIB) and to != 'kernels'}


@pytest.mark.parametrize('name', modules())
def test_foreign_packages_stay_in_their_rooms(name):
    for to, foreign, _ in imports(name):
        package = to.split('.')[0]
        if foreign and package not in sys.stdlib_module_names:
            assert within(name, FOREIGN.get(package, ())), f'{name} imports {package}'


def test_no_circle():
    """Lazy imports count: a circle that works today breaks when an import moves to the top of its file."""
    graph = {name: {to for to, foreign, _ in imports(name) if not foreign} - {name} for name in modules()}
    # The root package resolves its public names lazily; importing it is importing nothing.
    graph['__init__'] = set()
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, ' -> '.join((*path[path.index(name) :], name))
        if name not in done:
            for to in sorted(graph.get(name, ())):
                walk(to, (*path, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def test_every_kernel_has_a_rule():
    from airoboros_gptq.kernels.registry import KERNELS
    from airoboros_gptq.kernels.rules import KERNEL_NAMES

    assert ('auto', *(kernel.name for kernel in KERNELS)) == KERNEL_NAMES


# Modules whose tests stand under another name than their own: what is tested with its neighbours.
TESTED_IN = {
    'bench.shapes': 'bench/test_synthetic.py',
    'bench.clock': 'bench/test_measure.py',
    'bench.engines': 'bench/test_engines.py',
    'bench.machine': 'bench/test_measure.py',
    'bench.own_engine': 'bench/test_measure.py',
    'bench.report': 'bench/test_measure.py',
    'checkpoint.linear_spec': 'checkpoint/test_quant_inference.py',
    'checkpoint.tensor_info': 'checkpoint/test_safetensors_header.py',
    'demo.look': 'demo/test_app.py',
    'demo.page': 'demo/test_app.py',
    'generation.fused_decode': 'interpreted/test_decoding.py',
    'generation.logits_to_keep': 'generation/test_decode_loop.py',
    'generation.prompt_cache': 'generation/test_cached_generate.py',
    'generation.weights_fingerprint': 'generation/test_cached_generate.py',
    'kernels.base': 'kernels/test_registry.py',
    'kernels.linear': 'kernels/test_registry.py',
    'kernels.reference': 'kernels/test_registry.py',
    'kernels.torch_int4': 'kernels/test_registry.py',
    'kernels.cpu.dtypes': 'kernels/cpu/test_bindings.py',
    'kernels.triton.dtypes': 'interpreted/test_expert_gemm.py',
    'kernels.triton.expert_gemm': 'interpreted/test_expert_gemm.py',
    'kernels.triton.gemm_mma': 'interpreted/test_gemm_mma.py',
    'kernels.triton.gemv': 'interpreted/test_gemv.py',
    'kernels.triton.gemv_mma': 'interpreted/test_gemv.py',
    'kernels.triton.gemv_words': 'interpreted/test_gemv.py',
    'real_model.source': 'installer/test_real_model.py',
    'kernels.triton.permute': 'interpreted/test_permute.py',
    'model.grouped_experts': 'interpreted/test_grouped_experts.py',
}


def test_every_module_has_its_tests():
    """tests/ mirrors the rooms: a module's tests stand where its name says, or where TESTED_IN does."""
    without = []
    for name, (_, path) in modules().items():
        named = TESTS / path.relative_to(PACKAGE).parent / f'test_{path.stem}.py'
        others = [TESTS / file for start, file in TESTED_IN.items() if within(name, [start])]
        if path.stem.startswith('_') or room_of(name) in ('webui', 'script') or name == 'util.types':
            continue  # webui/ is tested in the stand-in and in a real webui; there is nothing to test of a type's name
        if not named.is_file() and not any(file.is_file() for file in others):
            without.append(name)
    assert not without
