"""Sizes of published models, and the names and shapes of their tensors as AutoGPTQ writes them. Standard library alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TensorInfo = tuple[str, tuple[int, ...]]  # dtype and shape
CONTEXT = 2048  # tokens that other engines are set up for

_CLASSES = {
    'llama': 'LlamaForCausalLM',
    'qwen3': 'Qwen3ForCausalLM',
    'qwen3_moe': 'Qwen3MoeForCausalLM',
    'phi3': 'Phi3ForCausalLM',
    'granite': 'GraniteForCausalLM',
    'gemma2': 'Gemma2ForCausalLM',
}
_HEAD_NORMS = ('qwen3', 'qwen3_moe')


@dataclass(frozen=True)
class Shape:
    """The sizes of a model. `settings` are keys of config.json that its type has beside LLaMA's; with `experts` a layer has so
    many MLPs of `intermediate` features, and a router.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int = 32000
    model_type: str = 'llama'
    context: int = 2048
    head_dim: int = 0  # 0: hidden / heads
    experts: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def is_gemma(self) -> bool:
        """Whether norms multiply by one plus their weight, and the embedding serves as lm_head."""
        return self.model_type == 'gemma2'

    def linears(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of the quantised linears of a layer."""
        h, m = self.hidden, self.intermediate
        head_dim = self.head_dim or h // self.heads
        q, kv = head_dim * self.heads, head_dim * self.kv_heads
        out = {'self_attn.o_proj': (q, h)}
        if self.model_type == 'phi3':
            joined = {'self_attn.qkv_proj': (h, q + 2 * kv), 'mlp.gate_up_proj': (h, 2 * m), 'mlp.down_proj': (m, h)}
            return joined | out
        qkv = {f'self_attn.{n}_proj': (h, size) for n, size in (('q', q), ('k', kv), ('v', kv))}
        mlps = [f'mlp.experts.{i}' for i in range(self.experts)] or ['mlp']
        mlp = {f'{at}.{n}_proj': (m, h) if n == 'down' else (h, m) for at in mlps for n in ('gate', 'up', 'down')}
        return qkv | out | mlp

    def norms(self) -> dict[str, int]:
        """Features of the norms of a layer."""
        names = ['input_layernorm', 'post_attention_layernorm']
        if self.is_gemma:
            names += ['pre_feedforward_layernorm', 'post_feedforward_layernorm']
        norms = dict.fromkeys(names, self.hidden)
        if self.model_type in _HEAD_NORMS:
            norms |= dict.fromkeys(('self_attn.q_norm', 'self_attn.k_norm'), self.head_dim)
        return norms

    def tensors(self, bits: int, group_size: int) -> Iterator[tuple[str, TensorInfo]]:
        """Name, dtype and shape of each tensor."""
        yield 'model.embed_tokens.weight', ('F16', (self.vocabulary, self.hidden))
        for layer in range(self.layers):
            at = f'model.layers.{layer}.'
            for name, (k, n) in self.linears().items():
                yield f'{at}{name}.qweight', ('I32', (k * bits // 32, n))
                yield f'{at}{name}.qzeros', ('I32', (k // group_size, n * bits // 32))
                yield f'{at}{name}.scales', ('F16', (k // group_size, n))
                yield f'{at}{name}.g_idx', ('I32', (k,))
            if self.experts:
                yield f'{at}mlp.gate.weight', ('F16', (self.experts, self.hidden))
            for name, size in self.norms().items():
                yield f'{at}{name}.weight', ('F16', (size,))
        yield 'model.norm.weight', ('F16', (self.hidden,))
        if not self.is_gemma:
            yield 'lm_head.weight', ('F16', (self.vocabulary, self.hidden))

    def config(self) -> dict[str, Any]:
        """Its config.json."""
        return {
            'architectures': [_CLASSES[self.model_type]],
            'model_type': self.model_type,
            'hidden_act': 'silu',
            'hidden_size': self.hidden,
            'intermediate_size': self.intermediate,
            'num_hidden_layers': self.layers,
            'num_attention_heads': self.heads,
            'num_key_value_heads': self.kv_heads,
            'vocab_size': self.vocabulary,
            'max_position_embeddings': self.context,
            'rms_norm_eps': 1e-6,
            'rope_theta': 10000.0,
            'bos_token_id': 1,
            'eos_token_id': 2,
            'tie_word_embeddings': self.is_gemma,
            'torch_dtype': 'float16',
            **({'head_dim': self.head_dim} if self.head_dim else {}),
            **({'num_experts': self.experts, 'moe_intermediate_size': self.intermediate} if self.experts else {}),
            **self.settings,
        }


# Meta's LLaMA, OpenLLaMA for 3b, TinyLlama for 1b; tiny is for tests. Of a LLaMA-2-70B a tenth of the layers.
SHAPES = {
    'tiny': Shape(256, 512, 4, 4, 4, 1024),
    '1b': Shape(2048, 5632, 22, 32, 4),
    '3b': Shape(3200, 8640, 26, 32, 32),
    '7b': Shape(4096, 11008, 32, 32, 32),
    '13b': Shape(5120, 13824, 40, 40, 40),
    '70b-8-layers': Shape(8192, 28672, 8, 64, 8, context=4096),
    'llama3-8b': Shape(4096, 14336, 32, 32, 8, 128256, context=16384),
    'qwen3-8b': Shape(4096, 12288, 36, 32, 8, 151936, 'qwen3', 16384, 128),
    'qwen3-30b-a3b': Shape(
        *(2048, 768, 48, 32, 4, 151936, 'qwen3_moe', 16384, 128, 128),
        {'num_experts_per_tok': 8, 'norm_topk_prob': True, 'decoder_sparse_step': 1, 'mlp_only_layers': []},
    ),
    'phi3-mini': Shape(
        *(3072, 8192, 32, 32, 32, 32064, 'phi3', 4096),
        settings={'sliding_window': 2047, 'pad_token_id': 0, 'original_max_position_embeddings': 4096},
    ),
    'granite-8b': Shape(
        *(4096, 12800, 40, 32, 8, 49152, 'granite', 16384),
        settings={
            'embedding_multiplier': 1.0,
            'residual_multiplier': 0.22,
            'attention_multiplier': 0.0078125,
            'logits_scaling': 1.0,
        },
    ),
    'gemma2-9b': Shape(
        *(3584, 14336, 42, 16, 8, 256000, 'gemma2', 8192, 256),
        settings={
            'hidden_activation': 'gelu_pytorch_tanh',
            'sliding_window': 4096,
            'query_pre_attn_scalar': 256,
            'attn_logit_softcapping': 50.0,
            'final_logit_softcapping': 30.0,
        },
    ),
}
