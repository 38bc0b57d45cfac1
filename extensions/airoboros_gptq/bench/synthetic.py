"""Folders of random weights in real shapes, so that anyone can measure without a download.

They are complete GPTQ folders, which the webui loads too: a tokenizer, and weights of a variance at which activations stay
finite. The answers of such a model are noise.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GPTQError
from ..model.sentencepiece_model import llama_bpe
from ..util.cache_dir import cache_folder
from ..util.formatting import format_bytes
from .shapes import SHAPES, Shape, TensorInfo

if TYPE_CHECKING:
    import numpy as np


SPECIAL_TOKENS = {'unk_token': '<unk>', 'bos_token': '<s>', 'eos_token': '</s>'}  # ids 0, 1 and 2
_CHUNK = 1 << 24  # numbers generated at a time
Progress = Callable[[int, int], None]  # (bytes written, bytes in all)


def synthetic_folder(
    size: str,
    act_order: bool = False,
    bits: int = 4,
    group_size: int = 128,
    progress: Progress = lambda done, total: None,
    parent: Path | None = None,
) -> Path:
    """The folder of that size in `parent` (default: the cache folder), written if it is not there; `progress(done, total)` is
    called with bytes. Raises GPTQError where the disk is too full, or the group size does not divide the layers' inputs.
    """
    shape = SHAPES[size]
    if group_size < 1 or any(k % group_size for k, _ in shape.linears().values()):
        raise GPTQError(
            f'Groups of {group_size} do not divide {shape.hidden} and {shape.intermediate} of a {size}; choose another size.'
        )
    name = f'synthetic-{size}-{bits}bit-{group_size}g{"-act-order" if act_order else ""}'
    folder = (parent or cache_folder() / 'synthetic') / name
    if (folder / 'config.json').is_file():
        return folder
    tensors = dict(shape.tensors(bits, group_size))
    total = sum(_nbytes(t) for t in tensors.values())
    temp = folder.with_name(f'.{name}.{os.getpid()}.tmp')
    temp.mkdir(parents=True)
    try:
        if shutil.disk_usage(temp).free < total + (1 << 28):
            raise GPTQError(
                f'{temp.parent} has no room for {format_bytes(total)}; free some, or name another folder in '
                'AIROBOROS_GPTQ_CACHE.'
            )
        _write_weights(temp / 'model.safetensors', shape, tensors, act_order, bits, group_size, progress)
        _write_settings(temp, shape, act_order, bits, group_size)
        temp.rename(folder)  # complete or not at all
    finally:
        if temp.is_dir():
            shutil.rmtree(temp)
    return folder


def _nbytes(tensor: TensorInfo) -> int:
    dtype, shape = tensor
    return math.prod(shape) * (2 if dtype == 'F16' else 4)


def _write_weights(
    path: Path,
    shape: Shape,
    tensors: dict[str, TensorInfo],
    act_order: bool,
    bits: int,
    group_size: int,
    progress: Progress,
) -> None:
    """Writes a safetensors file tensor by tensor: it is never in memory as a whole."""
    import numpy as np

    rng = np.random.default_rng(2023)
    header: dict[str, Any] = {'__metadata__': {'format': 'pt'}}
    total = 0
    for name, (dtype, sizes) in tensors.items():
        end = total + _nbytes((dtype, sizes))
        header[name] = {'dtype': dtype, 'shape': list(sizes), 'data_offsets': [total, end]}
        total = end
    raw = json.dumps(header).encode()
    raw += b' ' * (-len(raw) % 8)
    done = 0
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(raw)) + raw)
        norm = 0.0 if shape.is_gemma else 1.0  # as what multiplies by one
        for name, (_, sizes) in tensors.items():
            for chunk in _values(rng, name, sizes, act_order, bits, group_size, norm):
                file.write(chunk.data.cast('B'))
                done += chunk.nbytes
                progress(done, total)


def _values(
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, ...],
    act_order: bool,
    bits: int,
    group_size: int,
    norm: float,
) -> Iterator[np.ndarray[Any, Any]]:
    """The values of a tensor in row-major order, in arrays of at most 16 million numbers."""
    import numpy as np

    kind, count = name.rpartition('.')[2], math.prod(shape)
    if kind == 'g_idx':
        order = _input_order(name, shape[0]) if act_order else np.arange(shape[0])
        yield (order // group_size).astype(np.int32)
    elif kind == 'qzeros':  # symmetric, stored as zero - 1
        middle = 2 ** (bits - 1) - 1
        columns = shape[1] * 32 // bits
        word = sum(middle << (bits * i) for i in range(32))  # 32 zeros are `bits` whole words, also of 3 bits
        words = np.frombuffer(word.to_bytes(4 * bits, 'little'), '<i4')
        yield np.tile(words, shape[0] * columns // 32)
    elif 'norm' in name:
        yield np.full(count, norm, np.float16)
    else:
        for start in range(0, count, _CHUNK):
            size = min(_CHUNK, count - start)
            if kind == 'qweight':
                yield np.frombuffer(rng.bytes(4 * size), np.int32)
            elif kind == 'scales':
                # Uniform codes have a standard deviation of 2^bits / sqrt(12). With these scales weights have variance 1/K, so
                # that activations keep their size from layer to layer.
                rows = shape[0] * group_size
                unit = math.sqrt(12) / 2**bits / math.sqrt(rows)
                yield (unit * (0.8 + 0.4 * rng.random(size, np.float32))).astype(np.float16)
            else:
                is_embedding = 'embed' in name and norm != 0  # and no lm_head as well
                deviation = 1.0 if is_embedding else shape[1] ** -0.5
                yield (deviation * rng.standard_normal(size, np.float32)).astype(np.float16)


def _input_order(name: str, count: int) -> np.ndarray[Any, Any]:
    """A random order of a linear's inputs, the same for linears that read the same activations, as in AutoGPTQ's files."""
    import numpy as np

    layer, linear = name.split('.')[2], name.split('.')[-2]
    inputs = {'q_proj': 'qkv', 'k_proj': 'qkv', 'v_proj': 'qkv', 'gate_proj': 'gate and up', 'up_proj': 'gate and up'}
    return np.random.default_rng(zlib.crc32(f'{layer} {inputs.get(linear, linear)}'.encode())).permutation(count)


def _write_settings(folder: Path, shape: Shape, act_order: bool, bits: int, group_size: int) -> None:
    files = {
        'quantize_config.json': {
            'bits': bits,
            'group_size': group_size,
            'damp_percent': 0.01,
            'desc_act': act_order,
            'sym': True,
            'true_sequential': True,
        },
        'generation_config.json': {'bos_token_id': 1, 'eos_token_id': 2},
        'tokenizer_config.json': {
            'tokenizer_class': 'LlamaTokenizer',
            'model_max_length': shape.context,
            **SPECIAL_TOKENS,
        },
        'config.json': shape.config(),
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value), encoding='utf-8')
    vocabulary = {piece: i for i, piece in enumerate(vocabulary_pieces(shape.vocabulary))}
    llama_bpe(vocabulary, [], SPECIAL_TOKENS).save(str(folder / 'tokenizer.json'))


def vocabulary_pieces(count: int) -> list[str]:
    """`count` pieces in the order of LLaMA's: special tokens, bytes, the space, then words without sense."""
    pieces = [*SPECIAL_TOKENS.values(), *(f'<0x{i:02X}>' for i in range(256)), '▁']
    return [*pieces, *(f'▁w{i}' for i in range(len(pieces), count))][:count]
