"""Compares the kernels with AutoGPTQ and writes the tables of docs/accuracy.md.

    python tools/accuracy_table.py run              run the comparisons (a minute), keep the figures, write the tables
    python tools/accuracy_table.py [--check]        write the tables from the figures that were kept, or check them

`run` wants the Python of .venv, which `python install.py test` makes, with auto-gptq in it. Each figure is the largest
relative deviation from AutoGPTQ 0.7.1 that a passing test recorded; they are kept in benchmarks/accuracy.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

from generated_section import ROOT, table, update

TOOL = 'accuracy_table'
PAGE = ROOT / 'docs' / 'accuracy.md'
KEPT = ROOT / 'benchmarks' / 'accuracy.json'
KERNELS = ('reference', 'torch-int4', 'native-cpu')
# Test file and the test in it that records deviations: of single linears, and of the logits of whole models.
LINEARS = ROOT / 'tests' / 'kernels' / 'test_against_autogptq.py', 'test_computes_what_autogptq_computes'
MODELS = ROOT / 'tests' / 'model' / 'test_architectures.py', 'test_the_logits_are_the_quantisers_own'

Case = tuple[str, str, dict[str, str]]  # test, its parameters, the properties it recorded


def run_tests() -> list[Case]:
    """The tests of LINEARS and MODELS that pass now."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.xml'
        paths = [str(path) for path, _ in (LINEARS, MODELS)]
        subprocess.run([sys.executable, '-m', 'pytest', '-q', f'--junitxml={report}', *paths], cwd=ROOT, check=False)
        return passed(report)


def passed(report: Path) -> list[Case]:
    """The passed tests of a JUnit report."""
    cases = []
    for case in xml.parse(report).getroot().iter('testcase'):
        if not any(child.tag in ('failure', 'error', 'skipped') for child in case):
            name, _, parameters = case.attrib['name'].partition('[')
            recorded = {p.attrib['name']: p.attrib['value'] for p in case.iter('property')}
            cases.append((name, parameters.removesuffix(']'), recorded))
    return cases


def linears(cases: list[Case]) -> dict[str, dict]:
    """Bits -> the group sizes, how many combinations were compared, and each kernel's largest deviation."""
    by_bits: dict[str, list[tuple[int, dict]]] = {}
    for name, parameters, recorded in cases:
        if name == LINEARS[1]:
            size, bits = parameters.rsplit('-', 1)
            by_bits.setdefault(bits, []).append((int(size), recorded))
    return {
        bits: {
            'group_sizes': sorted((size for size, _ in runs), key=lambda size: (size < 0, size)),
            'combinations': sum(int(recorded[f'{k} combinations']) for _, recorded in runs for k in KERNELS),
            **{k: float(f'{max(float(r[f"{k} deviation"]) for _, r in runs):.1e}') for k in KERNELS},
        }
        for bits, runs in sorted(by_bits.items())
    }


def models(cases: list[Case]) -> dict[str, dict[str, float]]:
    """Architecture -> kernel -> the deviation of its logits."""
    found: dict[str, dict[str, float]] = {}
    for name, parameters, recorded in cases:
        if name == MODELS[1]:
            folder, kernel = parameters.rsplit('-', 1)
            found.setdefault(folder, {})[kernel] = float(f'{float(recorded["deviation"]):.1e}')
    return dict(sorted(found.items()))


def section(figures: dict) -> str:
    """The page's two tables."""
    rows = [['bits', 'group sizes', 'combinations', *(f'`{k}`' for k in KERNELS)]]
    for bits, row in figures['linears'].items():
        sizes = ', '.join(map(str, row['group_sizes']))
        rows.append([bits, sizes, str(row['combinations']), *(f'{row[k]:.1e}' for k in KERNELS)])
    logits = [['architecture', '`reference`', '`auto`']]
    logits += [[name, f'{row["reference"]:.1e}', f'{row["auto"]:.1e}'] for name, row in figures['models'].items()]
    return f'{table(rows)}\n\n{table(logits)}'


def main(arguments: list[str]) -> int:
    if arguments not in ([], ['run'], ['--check']):
        sys.exit(__doc__)
    if arguments == ['run']:
        cases = run_tests()
        figures = {'linears': linears(cases), 'models': models(cases)}
        if not all(figures.values()):
            sys.exit('No comparison passed, see above; the figures that were kept stay.')
        KEPT.write_text(json.dumps(figures, indent=2) + '\n', 'utf-8')
    check = arguments == ['--check']
    current = update(PAGE, TOOL, section(json.loads(KEPT.read_text('utf-8'))), check)
    return 1 if check and not current else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
