"""Reads a LLaMA from GGUF, as transformers names and orders its parts.

Source: llama.cpp's `convert_hf_to_gguf.py`, the inverse of what it does to a LLaMA; the GGUF specification for the keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_LINEARS = {
    'attn_q': 'self_attn.q_proj',
    'attn_k': 'self_attn.k_proj',
    'attn_v': 'self_attn.v_proj',
    'attn_output': 'self_attn.o_proj',
    'ffn_gate': 'mlp.gate_proj',
    'ffn_up': 'mlp.up_proj',
    'ffn_down': 'mlp.down_proj',
}
_LAYER = {**_LINEARS, 'attn_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm'}
_OUTSIDE = {'token_embd': 'model.embed_tokens', 'output_norm': 'model.norm', 'output': 'lm_head'}


class GGUFFile:
    """An open GGUF file of a LLaMA. The file is mapped into memory until the object is gone."""

    def __init__(self, path: Path):
        from gguf import GGUFReader

        self._reader = GGUFReader(str(path))

    def value(self, key: str, default: Any = None) -> Any:
        """A value of the metadata, as Python has it; `default` where there is none."""
        field = self._reader.get_field(key)
        return default if field is None else field.contents()

    @property
    def tensor_count(self) -> int:
        return len(self._reader.tensors)

    def config(self) -> dict[str, Any]:
        """What config.json says of the architecture and of the special tokens."""

        def of(key: str) -> Any:
            return self.value(f'llama.{key}')

        return {
            'architectures': ['LlamaForCausalLM'],
            'model_type': 'llama',
            'hidden_act': 'silu',
            'hidden_size': of('embedding_length'),
            'intermediate_size': of('feed_forward_length'),
            'num_hidden_layers': of('block_count'),
            'num_attention_heads': of('attention.head_count'),
            'num_key_value_heads': of('attention.head_count_kv'),
            'vocab_size': len(self.value('tokenizer.ggml.tokens')),
            'max_position_embeddings': of('context_length'),
            'rms_norm_eps': float(f'{of("attention.layer_norm_rms_epsilon"):.6g}'),  # stored in fp32
            'rope_theta': of('rope.freq_base'),
            'tie_word_embeddings': all(tensor.name != 'output.weight' for tensor in self._reader.tensors),
            'bos_token_id': self.value('tokenizer.ggml.bos_token_id'),
            'eos_token_id': self.value('tokenizer.ggml.eos_token_id'),
            'pad_token_id': self.value('tokenizer.ggml.padding_token_id'),
            'torch_dtype': 'float16',
        }

    def tensors(self) -> Iterator[tuple[str, np.ndarray[Any, Any], bool]]:
        """(name, fp32 values, whether it is the weight [out, in] of a layer's linear) of each tensor, dequantised."""
        from gguf import dequantize

        heads = {
            'attn_q': self.value('llama.attention.head_count'),
            'attn_k': self.value('llama.attention.head_count_kv'),
        }
        for tensor in self._reader.tensors:
            name, _, kind = tensor.name.rpartition('.')  # blk.0.attn_q, weight
            values = dequantize(tensor.data, tensor.tensor_type)
            if not name.startswith('blk.'):
                yield f'{_OUTSIDE[name]}.{kind}', values, False
                continue
            _, layer, part = name.split('.')
            if part in heads:
                values = rope_by_halves(values, heads[part])
            yield f'model.layers.{layer}.{_LAYER[part]}.{kind}', values, part in _LINEARS


def rope_by_halves(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """The weight [heads * d, in] of a query or key projection with each head's rows in transformers' order.

    RoPE rotates pairs of rows. llama.cpp has the two of a pair beside each other, transformers d/2 apart.
    """
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
