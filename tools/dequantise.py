"""Writes the dequantised twin of a GPTQ folder: the same model as a plain transformers folder, its weights in float16.

    python tools/dequantise.py MODEL TWIN [--checkpoint NAME] [--dtype float16]

What reads plain folders, as the webui's own Transformers loader, so serves the same model without this package: an oracle
for answers, and the other side of a comparison (tools/soak.py). One file is written, so the weights must fit into RAM.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'extensions'))

import torch
from airoboros_gptq.checkpoint.linear_spec import TENSOR_PARTS
from airoboros_gptq.kernels.packing import PackedLinear, dequantize
from airoboros_gptq.model.tensor_reader import DTYPES, open_tensors
from airoboros_gptq.preflight.folder_summary import FolderSummary, read_summary
from safetensors.torch import save_file

_COPIED = ('tokenizer*', 'special_tokens_map.json', 'added_tokens.json', 'vocab.json', 'merges.txt', '*.jinja')
_GENERATION_CONFIG = 'generation_config.json'


def write_twin(folder: Path, twin: Path, checkpoint: str | None = None, dtype: torch.dtype = torch.float16) -> None:
    """Writes the twin of the GPTQ folder into the new folder `twin`. Raises GPTQError for a folder that cannot be read."""
    summary = read_summary(folder, checkpoint)
    twin.mkdir(parents=True)
    save_file(_plain_tensors(summary, dtype), twin / 'model.safetensors', metadata={'format': 'pt'})
    config = {k: v for k, v in (summary.hf_config or {}).items() if k != 'quantization_config'}
    config['torch_dtype'] = str(dtype).removeprefix('torch.')
    (twin / 'config.json').write_text(json.dumps(config, indent=2) + '\n', encoding='utf-8')
    for pattern in (*_COPIED, _GENERATION_CONFIG):
        for file in sorted(folder.glob(pattern)):
            shutil.copyfile(file, twin / file.name)


def _plain_tensors(summary: FolderSummary, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Every tensor of the model under transformers' name: a weight [out, in] for each quantised linear."""
    read, specs = open_tensors(summary.checkpoint), summary.quantization.specs
    parts = {f'{name}.{part}' for name in specs for part in TENSOR_PARTS if part != 'bias'}
    floats = [DTYPES[name] for name in ('F64', 'F32', 'F16', 'BF16')]
    tensors = {}
    for name in summary.checkpoint.tensors:
        if name not in parts:
            tensor = read(name).clone()
            tensors[name] = tensor.to(dtype) if tensor.dtype in floats else tensor
    for name, spec in specs.items():
        packed = {
            p: read(f'{name}.{p}') for p in TENSOR_PARTS if f'{name}.{p}' in parts & set(summary.checkpoint.tensors)
        }
        tensors[f'{name}.weight'] = dequantize(PackedLinear(**packed), spec, dtype).t().contiguous()
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path)
    parser.add_argument('twin', type=Path)
    parser.add_argument('--checkpoint', help='a file of the folder, where it has several')
    parser.add_argument('--dtype', default='float16', choices=['float16', 'bfloat16', 'float32'])
    args = parser.parse_args()
    write_twin(args.model, args.twin, args.checkpoint, getattr(torch, args.dtype))
    print(f'{args.twin} holds {args.model.name} in {args.dtype}.')


if __name__ == '__main__':
    main()
