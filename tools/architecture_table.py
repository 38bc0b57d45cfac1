"""Which architectures load, run and write as plain transformers does: the table of docs/architectures.md.

    python tools/architecture_table.py               # writes the table of the kept figures into the page
    python tools/architecture_table.py run           # makes every architecture, compares it, and keeps the figures: minutes
    python tools/architecture_table.py --check       # exits 1 where the page is out of date

Each row is a small model of random weights, its linears and routers quantised by rounding to the nearest, loaded by this package
in fp32 with the kernel `reference`, and compared with plain transformers on the dequantised twin. Only the figures are kept.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from generated_section import ROOT, table, update

sys.path[:0] = [str(ROOT / 'extensions'), str(ROOT / 'tests' / 'helpers')]
PAGE, KEPT, TOOL = ROOT / 'docs' / 'architectures.md', ROOT / 'benchmarks' / 'architectures.json', Path(__file__).stem
TOLERANCE = 1e-5
# Causal types in the model tables of AutoGPTQ 0.7.1, GPTQModel 7 and AutoRound 0.9, by transformers' model_type.
LISTED = (
    'apertus arcee bloom codegen cohere cohere2 dbrx deepseek_v2 deepseek_v3 dots1 ernie4_5 ernie4_5_moe exaone4 '
    'falcon falcon_h1 gemma gemma2 gemma3 gemma3_text glm glm4 glm4_moe gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss '
    'gptj granite granitemoe granitemoehybrid granitemoeshared helium hunyuan_v1_dense hunyuan_v1_moe internvl '
    'jamba lfm2 lfm2_moe llama llama4 llama4_text llava minimax minimax_m2 ministral mistral mistral3 mixtral mpt '
    'nemotron olmo olmo2 olmo3 olmoe opt persimmon phi phi3 phimoe qwen2 qwen2_5_vl qwen2_moe qwen2_vl qwen3 '
    'qwen3_5 qwen3_5_moe qwen3_moe qwen3_next qwen3_vl qwen3_vl_moe seed_oss smollm3 stablelm starcoder2 xglm'
).split()
# Listed as well, and without a row: why.
WITHOUT_ROW = {
    'baichuan, chatglm, deci, exaone, internlm, internlm2, minicpm, moss, qwen (1), telechat, xverse': (
        "not in transformers: they run by code of their own, with trust_remote_code=True, as far as that code runs under today's "
        'transformers'
    ),
    'mllama, nemotron_h, ovis2, qwen2_5_omni, qwen3_omni_moe': 'no small model of it is made here yet; not tested',
}


def compare_one(model_type: str, out: Path) -> dict[str, Any]:
    """Deviation of the logits, whether greedy tokens are the same, quantised linears in file and model; or a sentence why not."""
    from airoboros_gptq import GPTQError, load
    from airoboros_gptq.kernels.linear import GPTQLinear
    from made_models import ROUTERS, compare, expected, make, same_text
    from small_configs import auto_class, build, has

    if not has(model_type):
        return {'why': 'this transformers does not have it'}
    try:
        made = make(out, build(model_type), pattern=ROUTERS)
        twin = expected(made, auto_class(model_type))
        compare(twin, twin)
    except Exception as e:
        return {'why': f'plain transformers does not run it: {str(e).splitlines()[0][:120]}'}
    try:
        model, _ = load(
            made.folder, device='cpu', kernel='reference', dtype='float32', progress=lambda done, total: None
        )
    except GPTQError as e:
        return {'why': str(e)}
    return {
        'class': type(model).__name__,
        'deviation': float(f'{compare(model, twin):.1e}'),
        'same_text': same_text(model, twin),
        'quantised': sum(isinstance(m, GPTQLinear) for m in model.modules()),
        'stored': len(made.quantised),
    }


def run_all() -> dict[str, Any]:
    """The figures of every architecture with the installed transformers."""
    import transformers

    warnings.filterwarnings('ignore')
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    rows = {}
    for model_type in LISTED:
        with tempfile.TemporaryDirectory() as folder:
            rows[model_type] = compare_one(model_type, Path(folder))
        print(model_type, rows[model_type], flush=True)
    return {'date': datetime.date.today().isoformat(), 'rows': rows}


def section(kept: dict[str, Any]) -> str:
    """A column for each version of transformers that was run."""
    versions = sorted(kept, key=lambda version: [int(n) for n in version.split('.')])
    rows = [['type', 'runs as', *(f'transformers {version}' for version in versions)]]
    notes = []
    for model_type in LISTED:
        cells = [kept[version]['rows'].get(model_type, {'why': 'not run'}) for version in versions]
        name = next((cell['class'] for cell in reversed(cells) if 'class' in cell), '')
        rows.append([f'`{model_type}`', f'`{name}`' if name else '', *map(_cell, cells)])
        notes += [
            f'- `{model_type}`, transformers {version}: {cell["why"]}.'
            for version, cell in zip(versions, cells, strict=True)
            if 'why' in cell and not cell['why'].startswith('this transformers')
        ]
    notes += [f'- {types}: {why}.' for types, why in WITHOUT_ROW.items()]
    dates = ', '.join(f'{version} on {kept[version]["date"]}' for version in versions)
    return f'Run with {dates}.\n\n{table(rows)}\n\n' + '\n'.join(notes)


def _cell(cell: dict[str, Any]) -> str:
    if 'why' in cell:
        return 'not in it' if cell['why'].startswith('this transformers') else 'see below'
    if cell['deviation'] < TOLERANCE and cell['same_text']:
        return f'{cell["deviation"]:.0e}'
    return f'**{cell["deviation"]:.0e}{"" if cell["same_text"] else ", other text"}**'


def main(arguments: list[str]) -> int:
    if arguments not in ([], ['run'], ['--check']):
        sys.exit(__doc__)
    kept = json.loads(KEPT.read_text('utf-8')) if KEPT.is_file() else {}
    if arguments == ['run']:
        import transformers

        kept[transformers.__version__] = run_all()
        KEPT.write_text(json.dumps(kept, indent=1) + '\n', 'utf-8')
    current = update(PAGE, TOOL, section(kept), arguments == ['--check'])
    return 1 if arguments == ['--check'] and not current else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
