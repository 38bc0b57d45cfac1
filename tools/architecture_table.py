"""Which architectures load, run and write as plain transformers does: the table of docs/architectures.md.

    python tools/architecture_table.py               # writes the table of the kept figures into the page
    python tools/architecture_table.py run [TYPE ...]  # makes these or all, compares them, and keeps the figures: minutes
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from generated_section import ROOT, table, update

sys.path[:0] = [str(ROOT / 'extensions'), str(ROOT / 'tests' / 'helpers')]
PAGE, KEPT, TOOL = ROOT / 'docs' / 'architectures.md', ROOT / 'benchmarks' / 'architectures.json', Path(__file__).stem
TOLERANCE = 1e-5
# Causal types in the model tables of AutoGPTQ 0.7.1, GPTQModel 7.3.4 and AutoRound 0.9, by transformers' model_type.
LISTED = (
    'afmoe apertus arcee bloom codegen cohere cohere2 cohere2_moe dbrx deepseek_v2 deepseek_v3 deepseek_v32 '
    'deepseek_vl dots1 ernie4_5 ernie4_5_moe exaone exaone4 falcon falcon_h1 falcon_mamba gemma gemma2 gemma3 '
    'gemma3_text gemma3n_text gemma4 gemma4_text glm glm4 glm4_moe glm4_moe_lite glm4v glm_moe_dsa glm_ocr gpt2 '
    'gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite granitemoe granitemoehybrid granitemoeshared helium '
    'hunyuan_v1_dense hunyuan_v1_moe hy_v3 internvl jamba laguna lfm2 lfm2_moe lfm2_vl llama llama4 llama4_text '
    'llava minicpm3 minimax minimax_m2 ministral ministral3 mistral mistral3 mixtral mpt nemotron nemotron_h olmo '
    'olmo2 olmo3 olmoe opt ovis2 persimmon phi phi3 phimoe qwen2 qwen2_5_vl qwen2_moe qwen2_vl qwen3 qwen3_5 '
    'qwen3_5_moe qwen3_moe qwen3_next qwen3_vl qwen3_vl_moe seed_oss smollm3 solar_open stablelm starcoder2 xglm '
    'zamba2'
).split()
# Listed as well, and without a row: why.
WITHOUT_ROW = {
    'baichuan, bailing_moe, brumby, chatglm, deci, deepseek_vl_v2, dream, gpt_pangu, grinmoe, hymba, instella, '
    'internlm, internlm2, internvl_chat, interns1, klear, llada2_moe, llava_qwen2, longllama, marin, mimo, mimo_v2, '
    'minicpm, minicpmo, minicpmv, mobilellm, moss, ovis, ovis2_5, phi4mm, qwen (1), telechat, xverse': (
        "not in transformers: they run by code of their own, with trust_remote_code=True, as far as that code runs under today's "
        'transformers'
    ),
    'aquila, kimi_k2, phi-msft, RefinedWeb, RefinedWebModel, stablelm_epoch, Yi': (
        'loaded as the type that transformers has instead; tests/model/test_model_types.py compares them'
    ),
    'glmasr, qwen2_5_omni, qwen3_omni_moe, voxtral': 'they hear and speak; no model of text alone is made of them here',
    'axk2, bailing_hybrid, cohere_compass, deepseek_ocr2, deepseek_v4, ernie4_5_vl_moe, gemma3n, gemma4_unified, glm4v_moe, '
    'hrm_text, inkling_mm_model, kimi_k25, longcat_flash, minicpmv4_6, minimax_m3_vl, mllama, muse_glimmer, zamba': (
        'in transformers, and not tested: no small model of it is made here yet'
    ),
}
# Deviations that are plain transformers': {type: (the first number of the version, why)}.
EXPLAINED = {
    'apertus': ('4', 'it keeps the numbers of the activation in bfloat16; here they are as exact as the file has them'),
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
        made_of = build(model_type).config
        # sdpa leaves out the capping of the logits of attention, which belongs to the model.
        eager = {'attn_implementation': 'eager'} if getattr(made_of, 'attn_logit_softcapping', None) else {}
        twin = expected(made, auto_class(model_type), **eager)
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


def run(types: Sequence[str], earlier: dict[str, Any]) -> dict[str, Any]:
    """The figures of these architectures with the installed transformers, beside those that were kept `earlier`."""
    import transformers

    warnings.filterwarnings('ignore')
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    rows = dict(earlier)
    for model_type in types:
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
    notes += [
        f'- `{model_type}`, transformers {version}: {why}.'
        for model_type, (major, why) in EXPLAINED.items()
        for version in versions
        if version.partition('.')[0] == major
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
    types = arguments[1:] if arguments[:1] == ['run'] else []
    if arguments[:1] not in ([], ['run'], ['--check']) or set(types) - set(LISTED):
        sys.exit(__doc__)
    kept = json.loads(KEPT.read_text('utf-8')) if KEPT.is_file() else {}
    if arguments[:1] == ['run']:
        import transformers

        version = transformers.__version__
        kept[version] = run(types or LISTED, kept.get(version, {}).get('rows', {}) if types else {})
        KEPT.write_text(json.dumps(kept, indent=1) + '\n', 'utf-8')
    current = update(PAGE, TOOL, section(kept), arguments == ['--check'])
    return 1 if arguments == ['--check'] and not current else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
