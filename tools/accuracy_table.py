"""Writes the README's table of formats and architectures from the tests that pass now.

    python tools/accuracy_table.py

Run with the Python of .venv, after `python install.py test` has made it: the figures are AutoGPTQ's against ours.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

README = ROOT / 'README.md'
BEGIN, END = '<!-- made by tools/accuracy_table.py -->\n', '<!-- end -->\n'
KERNELS = ('reference', 'torch-int4', 'native-cpu')
SUITES = ('tests/kernels/test_against_autogptq.py', 'tests/model/test_architectures.py')


def passed() -> list[tuple[str, str, dict[str, str]]]:
    """(test, its parameters, what it recorded) of every test of SUITES that passes now."""
    with tempfile.TemporaryDirectory() as made:
        report = Path(made) / 'report.xml'
        subprocess.run([sys.executable, '-m', 'pytest', '-q', f'--junitxml={report}', *SUITES], cwd=ROOT, check=False)
        cases = xml.parse(report).getroot().iter('testcase')
        found = []
        for case in cases:
            if not any(child.tag in ('failure', 'error', 'skipped') for child in case):
                name, _, parameters = case.attrib['name'].partition('[')
                recorded = {p.attrib['name']: p.attrib['value'] for p in case.iter('property')}
                found.append((name, parameters.removesuffix(']'), recorded))
        return found


def formats(cases) -> str:
    """A row for each width: the group sizes, how many combinations were compared, and the largest deviations."""
    titles = ('bits', 'group sizes', 'combinations', *(f'`{k}`' for k in KERNELS))
    rows = [f'| {" | ".join(titles)} |', '|---' * len(titles) + '|']
    widths: dict[int, list] = {}
    for name, parameters, recorded in cases:
        if name == 'test_computes_what_autogptq_computes':
            size, bits = parameters.rsplit('-', 1)
            widths.setdefault(int(bits), []).append((int(size), recorded))
    for bits, found in sorted(widths.items()):
        sizes = ', '.join(str(s) for s in sorted((s for s, _ in found), key=lambda s: (s < 0, s)))
        count = sum(int(r[f'{kernel} combinations']) for _, r in found for kernel in KERNELS)
        worst = [max(float(r[f'{kernel} deviation']) for _, r in found) for kernel in KERNELS]
        rows.append(f'| {bits} | {sizes} | {count} | {" | ".join(f"{w:.1e}" for w in worst)} |')
    return '\n'.join(rows)


def architectures(cases) -> str:
    """A row for each architecture, with the deviation of the logits from AutoGPTQ's own."""
    rows = ['| architecture | `reference` | `auto` |', '|---|---|---|']
    found: dict[str, dict[str, float]] = {}
    for name, parameters, recorded in cases:
        if name == 'test_the_logits_are_the_quantisers_own':
            folder, kernel = parameters.rsplit('-', 1)
            found.setdefault(folder, {})[kernel] = float(recorded['deviation'])
    for folder, deviations in sorted(found.items()):
        rows.append(f'| {folder} | {deviations["reference"]:.1e} | {deviations["auto"]:.1e} |')
    return '\n'.join(rows)


def main() -> None:
    cases = passed()
    text = README.read_text('utf-8')
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f'{before}{BEGIN}\n{formats(cases)}\n\n{architectures(cases)}\n\n{END}{after}', 'utf-8')


if __name__ == '__main__':
    main()
