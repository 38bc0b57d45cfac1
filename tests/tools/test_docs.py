"""README.md, CONTRIBUTING.md and docs/: links, generated sections, and every name that they mention."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import accuracy_table
import architecture_table
import benchmark_tables
import draw_design
import generated_section
import pytest
import webui_versions
from airoboros_gptq.airoboros.versions import _VERSIONS
from support import ROOT, TINY

PACKAGE = ROOT / 'extensions' / 'airoboros_gptq'
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    ROOT / 'benchmarks' / 'NOTES.md',
    *sorted((ROOT / 'docs').glob('*.md')),
    *sorted((ROOT / 'tests').glob('*/README.md')),
]
CODE = [
    *(ROOT / 'install.py', ROOT / 'pyproject.toml', ROOT / 'Makefile'),
    *(
        path
        for folder in ('extensions', 'installer', 'tools', 'tests')
        for path in sorted((ROOT / folder).rglob('*.py'))
    ),
    *sorted((PACKAGE / 'kernels' / 'cpu' / 'csrc').iterdir()),
]
# Files that are not this project's: the webui's, a model's.
FOREIGN_FILES = {'server.py', 'settings.yaml', 'config.json', 'quantize_config.json', 'generation_config.json'}
FOREIGN_FILES |= {'tokenizer.model', 'README.md', 'config-user.yaml', 'modules/', 'user_data', 'user_data/extensions'}
# Rooms and files that docs/design.md announces.
PLANNED = {draw_design.shown(name) for floor in draw_design.FLOORS for name, _, kind in floor if kind == 'planned'}
PATH = re.compile(r'[\w.-]+(?:/[\w.*-]+)*/?')
SUFFIX = re.compile(r'\.(?:py|md|yaml|json|toml|svg|png|h|cpp)$|/')


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """A page without its indented and fenced examples."""
    text = re.sub(r'(?ms)^```.*?^```$', '', path.read_text('utf-8'))
    return re.sub(r'(?m)^(?: {4}|\t).*$', '', text)


def quoted(path: Path) -> set[str]:
    """What stands in backticks in the text of a page."""
    return set(re.findall(r'`([^`\n]+)`', prose(path)))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r'(?m)^#+ (.*)$', prose(path))
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.fixture(scope='module')
def source() -> str:
    return '\n'.join(path.read_text('utf-8') for path in CODE if path != Path(__file__))


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    dead = []
    for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text('utf-8')):
        if target.startswith(('https://', 'http://')):
            continue
        name, _, anchor = target.partition('#')
        file = page if not name else page.parent / name
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


def test_every_image_is_shown():
    text = '\n'.join(page.read_text('utf-8') for page in PAGES)
    assert not [image.name for image in (ROOT / 'docs' / 'images').iterdir() if f'images/{image.name})' not in text]


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_paths_exist(page):
    missing = set()
    for name in quoted(page):
        if (
            not (PATH.fullmatch(name) and SUFFIX.search(name))
            or name in FOREIGN_FILES | PLANNED
            or name.startswith('.venv/')
        ):
            continue
        roots = (ROOT, PACKAGE, page.parent, ROOT / 'installer' / 'start_hook', ROOT / 'benchmarks')
        if not any(any(root.glob(name.rstrip('/'))) for root in roots) and not _is_a_repository(name):
            missing.add(name)
    assert not missing


def _is_a_repository(name: str) -> bool:
    """`TheBloke/airoboros-7B-gpt4-1.2-GPTQ` is a model's, `jondurbin/qlora` code on GitHub."""
    return name.split('/')[0] in ('TheBloke', 'jondurbin', 'oobabooga')


@pytest.mark.parametrize('page', PAGES, ids=page_id)
def test_names_and_options_exist(page, source):
    """Functions, classes and modules by their names, options as the parsers have them."""
    text = page.read_text('utf-8')
    if page.name == 'architectures.md':
        source += '\n'.join(re.findall(r'`(\w+For\w+)`', text))  # classes of transformers
    names = {name for q in quoted(page) for name in re.findall(r'\A(?:\w+\.)*(\w+)(?:\(.*\))?\Z', q) if _is_code(q)}
    options = set(re.findall(r'(?<![\w-])--[a-z][\w-]+', text)) - FOREIGN_OPTIONS
    assert not {name for name in names if not re.search(rf'\b{re.escape(name)}\b', source)}
    assert not {option for option in options if not re.search(rf'{option}\b', source)}


FOREIGN_OPTIONS = {'--loader', '--nowebui', '--idle-timeout', '--no-build-isolation'}  # the webui's, pip's


def _is_code(name: str) -> bool:
    """Whether it is written as a function, a class or a dotted name of this package."""
    if '/' in name or SUFFIX.search(name):
        return False
    return name.endswith(')') or bool(re.fullmatch(r'[A-Z]+[a-z]+[A-Z]\w*|[a-z]+(?:_[a-z]+)+|_\w+', name))


def test_every_environment_variable_is_documented():
    documented = set(
        re.findall(r'`([A-Z][A-Z_0-9]+)`', (ROOT / 'docs' / 'environment-variables.md').read_text('utf-8'))
    )
    read = {name for path in CODE if path.suffix == '.py' for name in _environment_variables(path)}
    assert read - documented == set()
    assert documented - read == {'HF_HOME', 'PATH'}  # huggingface_hub's, the system's


def _environment_variables(path: Path) -> set[str]:
    """Names that are read from os.environ, and whatever else begins with AIROBOROS_."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r'AIROBOROS_[A-Z_]+', node.value)
        ):
            found.add(node.value)
        reads = isinstance(node, ast.Call) and ast.unparse(node.func) in (
            *('os.environ.get', 'os.environ.setdefault', 'os.environ.pop', 'os.getenv'),
        )
        if reads and node.args and isinstance(node.args[0], ast.Constant):
            found.add(node.args[0].value)
        if (
            isinstance(node, ast.Subscript)
            and ast.unparse(node.value) == 'os.environ'
            and isinstance(node.slice, ast.Constant)
        ):
            found.add(node.slice.value)
    return found


def test_every_version_has_its_prompt():
    rows = [
        line.split('|')[1:5]
        for line in (ROOT / 'docs' / 'prompts.md').read_text('utf-8').splitlines()
        if '`Airoboros-v' in line
    ]
    documented = {}
    for versions, template, _, spaces in rows:
        for version in re.findall(r'\d(?:\.\d)+', versions):
            count = int(spaces) if spaces.strip().isdigit() else None
            documented[tuple(map(int, version.split('.')))] = template.strip(' `'), count
    assert documented == {v: (format.template, spaces) for v, (format, spaces) in _VERSIONS.items()}


@pytest.mark.parametrize(
    'main, arguments',
    [
        (benchmark_tables.main, ['--check']),
        (accuracy_table.main, ['--check']),
        (architecture_table.main, ['--check']),
        (webui_versions.main, ['table', '--check']),
        (draw_design.main, ['--check']),
    ],
    ids=lambda value: getattr(value, '__module__', ''),
)
def test_generated_sections_are_up_to_date(main, arguments, capsys):
    code = main(arguments)
    assert code == 0, capsys.readouterr().err


def test_a_stale_section_is_seen_and_written(tmp_path, capsys):
    page = tmp_path / 'page.md'
    page.write_text('before\n<!-- made by tools/x.py -->\n\nold\n\n<!-- end -->\nafter\n')
    assert not generated_section.update(page, 'x', 'new', check=True)
    assert 'run python tools/x.py' in capsys.readouterr().err and 'old' in page.read_text()
    assert not generated_section.update(page, 'x', 'new', check=False)
    assert page.read_text() == 'before\n<!-- made by tools/x.py -->\n\nnew\n\n<!-- end -->\nafter\n'
    assert generated_section.update(page, 'x', 'new', check=True)
    with pytest.raises(SystemExit, match='has no section for y'):
        generated_section.update(page, 'y', 'new', check=True)


@pytest.mark.parametrize('path, name', [accuracy_table.LINEARS, accuracy_table.MODELS])
def test_the_accuracy_table_runs_tests_that_exist(path, name):
    assert f'def {name}(' in path.read_text('utf-8')


def test_the_readme_is_short():
    assert (ROOT / 'README.md').stat().st_size < 7000


@pytest.mark.parametrize('page', ['README.md', 'docs/python.md'])
def test_python_examples_run(page, capsys):
    """Each page's examples, one after the other, with the tiny model."""
    names = {'model_name_or_path': str(TINY), 'prompt_template': 'USER: What is 3 plus 4? ASSISTANT: '}
    for code in re.findall(r'(?ms)^```python\n(.*?)^```$', (ROOT / page).read_text('utf-8')):
        code = code.replace('models/TheBloke_airoboros-7B-gpt4-1.2-GPTQ', str(TINY))
        exec(re.sub(r'max_new_tokens=\d+', 'max_new_tokens=8', code), names)
    assert type(names['model']).__name__ == 'LlamaForCausalLM'
