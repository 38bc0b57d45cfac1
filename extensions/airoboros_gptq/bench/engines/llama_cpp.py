"""llama.cpp by llama-cpp-python, on random weights in the shapes of the folder: Q4_0, with the output layer in Q6_K as its own
quantiser writes it. A block of Q4_0 is 32 weights: an fp16 scale and 16 bytes of codes. One of Q6_K is 256 weights in 210 bytes.
"""

from __future__ import annotations

import math
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...util.cache_dir import cache_folder
from ...util.regular_file import read_json
from ..clock import now
from ..shapes import CONTEXT
from ..synthetic import vocabulary_pieces
from .protocol import serve

if TYPE_CHECKING:
    import numpy as np


class LlamaCppEngine:
    """Decodes token by token with llama_eval, greedily."""

    def __init__(self, folder: Path, device: str, threads: int):
        import numpy as np
        from llama_cpp import Llama

        config = read_json(folder / 'config.json')
        path = random_gguf(config)
        self._llama = Llama(
            str(path),
            n_ctx=CONTEXT + 64,
            n_batch=512,
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=-1 if device.startswith('cuda') else 0,
            verbose=False,
        )
        self._ids = np.random.default_rng(2023).integers(300, config['vocab_size'], CONTEXT).tolist()
        self._cached_tokens, self._vocabulary = 0, config['vocab_size']
        embeddings = config['vocab_size'] * config['hidden_size'] // 32 * 18  # of which decoding reads one row
        self.about = {
            'version': version('llama-cpp-python'),
            'running': f'Q4_0, {_instructions()}',
            'weight_bytes_per_token': path.stat().st_size - embeddings,
        }

    def prefill(self, count: int) -> float:
        self._llama.reset()
        start = now()
        self._llama.eval(self._ids[:count])
        self._logits()
        self._cached_tokens = count
        return now() - start

    def decode(self, context: int, count: int) -> float:
        if self._cached_tokens != context:
            self.prefill(context)
        token = self._ids[0]
        start = now()
        for _ in range(count):
            self._llama.eval([token])
            token = int(self._logits().argmax())
        seconds = now() - start
        self._llama.n_tokens = context  # the next eval() drops what follows
        return seconds

    def _logits(self) -> Any:
        """Logits of the last token; waits until they are computed."""
        import llama_cpp
        import numpy as np

        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._llama.ctx, -1), (self._vocabulary,))


def _instructions() -> str:
    """The instruction sets and back ends that llama.cpp was compiled for."""
    import llama_cpp

    info = llama_cpp.llama_print_system_info().decode()
    return ' '.join(
        n for n in ('CUDA', 'AVX512', 'AVX512_VNNI', 'AVX2', 'AMX_INT8', 'LLAMAFILE', 'REPACK') if f'{n} = 1' in info
    )


def random_gguf(config: dict[str, Any]) -> Path:
    """A Q4_0 file of random weights in the cache folder, in the shapes of a LLaMA's config.json. Raises ValueError for others."""
    h, m, layers, heads = (
        config[k] for k in ('hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads')
    )
    kv_heads, vocabulary = config.get('num_key_value_heads', heads), config['vocab_size']
    if config.get('model_type') != 'llama' or h % 256:
        raise ValueError('only LLaMA models with a hidden size that 256 divides are compared with llama.cpp')
    path = cache_folder() / 'gguf' / f'llama-{layers}x{h}x{m}-{heads}-{kv_heads}-{vocabulary}-q4_0.gguf'
    if path.is_file():
        return path
    import gguf
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    writer = gguf.GGUFWriter(temp, 'llama')
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(h)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(m)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(h // heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    _add_vocabulary(writer, vocabulary)
    kinds = gguf.GGMLQuantizationType
    kv = h // heads * kv_heads
    tensors = [('token_embd', vocabulary, h, kinds.Q4_0), ('output_norm', None, h, kinds.F32)]
    tensors.append(('output', vocabulary, h, kinds.Q6_K))
    for layer in range(layers):
        sizes = {'attn_q': (h, h), 'attn_k': (kv, h), 'attn_v': (kv, h), 'attn_output': (h, h)}
        sizes |= {'ffn_gate': (m, h), 'ffn_up': (m, h), 'ffn_down': (h, m)}
        tensors += [(f'blk.{layer}.{name}', n, k, kinds.Q4_0) for name, (n, k) in sizes.items()]
        tensors += [(f'blk.{layer}.{name}_norm', None, h, kinds.F32) for name in ('attn', 'ffn')]
    block = {kinds.Q4_0: (32, 18), kinds.Q6_K: (256, 210)}
    for name, n, k, kind in tensors:
        if kind == kinds.F32:
            writer.add_tensor_info(f'{name}.weight', (k,), np.dtype(np.float32), 4 * k)
        else:
            shape = (n, k // block[kind][0] * block[kind][1])
            writer.add_tensor_info(f'{name}.weight', shape, np.dtype(np.uint8), math.prod(shape), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(2023)
    for _, n, k, kind in tensors:
        if kind == kinds.F32:
            writer.write_tensor_data(np.ones(k, np.float32))
        else:
            writer.write_tensor_data(_blocks(rng, n, k, *block[kind]))
    writer.close()
    os.replace(temp, path)
    return path


def _blocks(rng: np.random.Generator, n: int, k: int, weights: int, size: int) -> np.ndarray[Any, Any]:
    """Random codes with scales at which a row of k weights has a norm near one: uint8 [n, k / weights * size]."""
    import numpy as np

    blocks = np.frombuffer(rng.bytes(n * k // weights * size), np.uint8).reshape(-1, size).copy()
    deviation = 1 / math.sqrt(k)
    if weights == 32:  # Q4_0: (code - 8) * scale; uniform codes of 4 bits have a standard deviation of 4.6
        blocks[:, :2] = np.frombuffer(np.float16(deviation / 4.6).tobytes(), np.uint8)
    else:  # Q6_K: (code - 32) * int8 scale of 16 weights * fp16 scale; codes of 6 bits have one of 18.5
        blocks[:, 192:208] = 8
        blocks[:, 208:] = np.frombuffer(np.float16(deviation / 18.5 / 8).tobytes(), np.uint8)
    return blocks.reshape(n, -1)


def _add_vocabulary(writer: Any, count: int) -> None:
    from gguf import TokenType

    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, *[TokenType.BYTE] * 256]
    types += [TokenType.NORMAL] * (count - len(types))
    writer.add_tokenizer_model('llama')
    writer.add_token_list(vocabulary_pieces(count))
    writer.add_token_scores([-float(i) for i in range(count)])
    writer.add_token_types(types[:count])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


if __name__ == '__main__':
    serve(LlamaCppEngine)
