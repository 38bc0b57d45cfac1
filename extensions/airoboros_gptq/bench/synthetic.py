"""Folders of random weights in real shapes, so that anyone can measure without a download.

They are complete GPTQ folders, which the webui loads too: LLaMA's architecture, a tokenizer, and weights of a variance at which
activations stay finite. The answers of such a model are noise.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GPTQError
from ..model.sentencepiece_model import llama_bpe
from ..util.cache_dir import cache_folder
from ..util.formatting import format_bytes

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Shape:
    """The sizes of a LLaMA."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int = 32000


# Meta's LLaMA, OpenLLaMA for 3b, TinyLlama for 1b; tiny is for tests.
SHAPES = {
    'tiny': Shape(256, 512, 4, 4, 4, 1024),
    '1b': Shape(2048, 5632, 22, 32, 4),
    '3b': Shape(3200, 8640, 26, 32, 32),
    '7b': Shape(4096, 11008, 32, 32, 32),
    '13b': Shape(5120, 13824, 40, 40, 40),
}
CONTEXT = 2048
SPECIAL_TOKENS = {'unk_token': '<unk>', 'bos_token': '<s>', 'eos_token': '</s>'}  # ids 0, 1 and 2
_CHUNK = 1 << 24  # numbers generated at a time
Progress = Callable[[int, int], None]  # (bytes written, bytes in all)
TensorInfo = tuple[str, tuple[int, ...]]  # dtype and shape


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
    if group_size < 1 or any(k % group_size for k in (shape.hidden, shape.intermediate)):
        raise GPTQError(
            f'Groups of {group_size} do not divide {shape.hidden} and {shape.intermediate} of a {size}; choose another size.'
        )
    name = f'synthetic-{size}-{bits}bit-{group_size}g{"-act-order" if act_order else ""}'
    folder = (parent or cache_folder() / 'synthetic') / name
    if (folder / 'config.json').is_file():
        return folder
    tensors = dict(_tensors(shape, bits, group_size))
    total = sum(_nbytes(t) for t in tensors.values())
    temp = folder.with_name(f'.{name}.{os.getpid()}.tmp')
    temp.mkdir(parents=True)
    try:
        if shutil.disk_usage(temp).free < total + (1 << 28):
            raise GPTQError(
                f'{temp.parent} has no room for {format_bytes(total)}; free some, or name another folder in '
                'AIROBOROS_GPTQ_CACHE.'
            )
        _write_weights(temp / 'model.safetensors', tensors, act_order, bits, group_size, progress)
        _write_settings(temp, shape, act_order, bits, group_size)
        temp.rename(folder)  # complete or not at all
    finally:
        if temp.is_dir():
            shutil.rmtree(temp)
    return folder


def _tensors(shape: Shape, bits: int, group_size: int) -> Iterator[tuple[str, TensorInfo]]:
    """Name, dtype and shape of each tensor, as AutoGPTQ writes them."""
    h, m, kv = shape.hidden, shape.intermediate, shape.hidden // shape.heads * shape.kv_heads
    linears = {
        **{f'self_attn.{n}_proj': (h, out) for n, out in (('q', h), ('k', kv), ('v', kv), ('o', h))},
        **{f'mlp.{n}_proj': (h, m) for n in ('gate', 'up')},
        'mlp.down_proj': (m, h),
    }
    yield 'model.embed_tokens.weight', ('F16', (shape.vocabulary, h))
    for layer in range(shape.layers):
        at = f'model.layers.{layer}.'
        for name, (k, n) in linears.items():
            yield f'{at}{name}.qweight', ('I32', (k * bits // 32, n))
            yield f'{at}{name}.qzeros', ('I32', (k // group_size, n * bits // 32))
            yield f'{at}{name}.scales', ('F16', (k // group_size, n))
            yield f'{at}{name}.g_idx', ('I32', (k,))
        for norm in ('input_layernorm', 'post_attention_layernorm'):
            yield f'{at}{norm}.weight', ('F16', (h,))
    yield 'model.norm.weight', ('F16', (h,))
    yield 'lm_head.weight', ('F16', (shape.vocabulary, h))


def _nbytes(tensor: TensorInfo) -> int:
    dtype, shape = tensor
    return math.prod(shape) * (2 if dtype == 'F16' else 4)


def _write_weights(
    path: Path, tensors: dict[str, TensorInfo], act_order: bool, bits: int, group_size: int, progress: Progress
) -> None:
    """Writes a safetensors file tensor by tensor: it is never in memory as a whole."""
    import numpy as np

    rng = np.random.default_rng(2023)
    header: dict[str, Any] = {'__metadata__': {'format': 'pt'}}
    total = 0
    for name, (dtype, shape) in tensors.items():
        end = total + _nbytes((dtype, shape))
        header[name] = {'dtype': dtype, 'shape': list(shape), 'data_offsets': [total, end]}
        total = end
    raw = json.dumps(header).encode()
    raw += b' ' * (-len(raw) % 8)
    done = 0
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(raw)) + raw)
        for name, (_, shape) in tensors.items():
            for chunk in _values(rng, name, shape, act_order, bits, group_size):
                file.write(chunk.data.cast('B'))
                done += chunk.nbytes
                progress(done, total)


def _values(
    rng: np.random.Generator, name: str, shape: tuple[int, ...], act_order: bool, bits: int, group_size: int
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
        yield np.ones(count, np.float16)
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
                deviation = 1.0 if 'embed' in name else shape[1] ** -0.5
                yield (deviation * rng.standard_normal(size, np.float32)).astype(np.float16)


def _input_order(name: str, count: int) -> np.ndarray[Any, Any]:
    """A random order of a linear's inputs, the same for linears that read the same activations, as in AutoGPTQ's files."""
    import numpy as np

    *_, layer, _, linear, _ = name.split('.')
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
        'tokenizer_config.json': {'tokenizer_class': 'LlamaTokenizer', 'model_max_length': CONTEXT, **SPECIAL_TOKENS},
        'config.json': {
            'architectures': ['LlamaForCausalLM'],
            'model_type': 'llama',
            'hidden_act': 'silu',
            'hidden_size': shape.hidden,
            'intermediate_size': shape.intermediate,
            'num_hidden_layers': shape.layers,
            'num_attention_heads': shape.heads,
            'num_key_value_heads': shape.kv_heads,
            'vocab_size': shape.vocabulary,
            'max_position_embeddings': CONTEXT,
            'rms_norm_eps': 1e-6,
            'rope_theta': 10000.0,
            'bos_token_id': 1,
            'eos_token_id': 2,
            'tie_word_embeddings': False,
            'torch_dtype': 'float16',
        },
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value), encoding='utf-8')
    vocabulary = {piece: i for i, piece in enumerate(vocabulary_pieces(shape.vocabulary))}
    llama_bpe(vocabulary, [], SPECIAL_TOKENS).save(str(folder / 'tokenizer.json'))


def vocabulary_pieces(count: int) -> list[str]:
    """`count` pieces in the order of LLaMA's: special tokens, bytes, the space, then words without sense."""
    pieces = [*SPECIAL_TOKENS.values(), *(f'<0x{i:02X}>' for i in range(256)), '▁']
    return [*pieces, *(f'▁w{i}' for i in range(len(pieces), count))][:count]
