"""Makes small GPTQ folders of many architectures, quantised and answered by AutoGPTQ 0.7.1 itself.

    python make.py OUT_FOLDER [NAME ...]

For a throwaway environment (see README.md). Each folder gets config.json, quantize_config.json, model.safetensors and
oracle.safetensors: `input_ids` and that library's fp32 logits at the last positions.
"""

import argparse
import pathlib
import tempfile

import auto_gptq.modeling._base as base
import torch
import transformers
from auto_gptq import BaseQuantizeConfig
from auto_gptq.modeling import GPTQ_CAUSAL_LM_MODEL_MAP, BaseGPTQForCausalLM
from safetensors.torch import save_file

LENGTH, POSITIONS, CANDIDATES = 16, 4, 32
CALIBRATION = 24  # sequences of CALIBRATION_LENGTH random tokens
CALIBRATION_LENGTH = 64
LLAMA_LIKE = {
    'vocab_size': 256,
    'hidden_size': 128,
    'intermediate_size': 256,
    'num_hidden_layers': 2,
    'num_attention_heads': 4,
    'num_key_value_heads': 2,
    'max_position_embeddings': 128,
    'bos_token_id': 1,
    'eos_token_id': 2,
    'pad_token_id': 0,
    'tie_word_embeddings': False,
}
GPT_LIKE = {k: LLAMA_LIKE[k] for k in ('vocab_size', 'bos_token_id', 'eos_token_id', 'pad_token_id')}
# name: (transformers' config class, its settings, group size, desc_act, sym)
ARCHITECTURES = {
    'llama': ('LlamaConfig', LLAMA_LIKE | {'num_key_value_heads': 4}, 128, True, True),
    'llama2-gqa': ('LlamaConfig', LLAMA_LIKE, 64, True, False),
    'mistral': ('MistralConfig', LLAMA_LIKE | {'sliding_window': 8}, 128, False, True),
    'qwen2': ('Qwen2Config', LLAMA_LIKE | {'tie_word_embeddings': True}, 64, False, True),
    'qwen3': ('Qwen3Config', LLAMA_LIKE | {'head_dim': 32}, 128, True, True),
    'gemma2': (
        'Gemma2Config',
        LLAMA_LIKE
        | {
            'head_dim': 32,
            'query_pre_attn_scalar': 32,
            'attn_logit_softcapping': 2.0,  # low, so that an attention without it shows
            'sliding_window': 8,
            'tie_word_embeddings': True,
        },
        64,
        True,
        True,
    ),
    'phi3': ('Phi3Config', LLAMA_LIKE | {'original_max_position_embeddings': 128}, 64, False, False),
    'gpt-neox': (
        'GPTNeoXConfig',
        GPT_LIKE
        | {
            'hidden_size': 128,
            'intermediate_size': 256,
            'num_hidden_layers': 2,
            'num_attention_heads': 4,
            'max_position_embeddings': 128,
        },
        64,
        True,
        True,
    ),
    'opt': (
        'OPTConfig',
        GPT_LIKE
        | {
            'hidden_size': 128,
            'ffn_dim': 256,
            'num_hidden_layers': 2,
            'num_attention_heads': 4,
            'max_position_embeddings': 128,
            'word_embed_proj_dim': 128,
        },
        128,
        False,
        False,
    ),
    'falcon': (
        'FalconConfig',
        GPT_LIKE
        | {
            'hidden_size': 128,
            'num_hidden_layers': 2,
            'num_attention_heads': 4,
            'multi_query': True,
            'parallel_attn': True,
            'bias': False,
            'alibi': False,
            'new_decoder_architecture': False,
        },
        64,
        True,
        False,
    ),
    'gpt-bigcode': (
        'GPTBigCodeConfig',
        GPT_LIKE | {'n_positions': 128, 'n_embd': 128, 'n_layer': 2, 'n_head': 4, 'n_inner': 256, 'multi_query': True},
        64,
        False,
        True,
    ),
    'mixtral': (
        'MixtralConfig',
        LLAMA_LIKE
        | {
            'vocab_size': 128,
            'intermediate_size': 128,
            'num_local_experts': 4,
            'num_experts_per_tok': 2,
            'sliding_window': None,
        },
        64,
        True,
        False,
    ),
}


class LikeLlama(BaseGPTQForCausalLM):
    """The map of modules that AutoGPTQ lacks for Gemma-2 and Qwen3: they name theirs as LLaMA does."""

    layers_block_name = 'model.layers'
    outside_layer_modules = ['model.embed_tokens', 'model.norm']
    inside_layer_modules = [
        ['self_attn.k_proj', 'self_attn.v_proj', 'self_attn.q_proj'],
        ['self_attn.o_proj'],
        ['mlp.up_proj', 'mlp.gate_proj'],
        ['mlp.down_proj'],
    ]


class Phi3(LikeLlama):
    inside_layer_modules = [['self_attn.qkv_proj'], ['self_attn.o_proj'], ['mlp.gate_up_proj'], ['mlp.down_proj']]


MAPS = {**GPTQ_CAUSAL_LM_MODEL_MAP, 'gemma2': LikeLlama, 'qwen3': LikeLlama, 'phi3': Phi3}
base.SUPPORTED_MODELS.extend(['gemma2', 'qwen3', 'phi3'])


def unquantised(name: str, folder: pathlib.Path) -> None:
    """A model of random weights that nothing in it can be left out of unseen: biases and norms are random as well, and
    the input channels of every linear differ in size, so that act-order orders them.
    """
    config_class, settings, *_ = ARCHITECTURES[name]
    config = getattr(transformers, config_class)(**settings)
    config.torch_dtype = torch.float32
    model = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(sum(name.encode()))
    with torch.no_grad():
        for key, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1:
                centre = 1.0 if key.endswith('weight') and 'gemma' not in name else 0.0  # Gemma adds the 1 itself
                p.copy_(centre + 0.2 * noise)
            elif isinstance(model.get_submodule(key.removesuffix('.weight')), torch.nn.Embedding):
                # No larger where the head is tied, lest it only repeat the input.
                p.copy_(noise * (p.shape[-1] ** -0.5 if model.config.tie_word_embeddings else 0.5))
            else:
                channels = torch.exp(0.7 * torch.randn(p.shape[-1], generator=generator))
                p.copy_(noise * channels / channels.square().sum().sqrt())
    model.tie_weights()
    model.save_pretrained(folder)


def quantise(name: str, source: pathlib.Path, out: pathlib.Path) -> None:
    """Runs AutoGPTQ's quantiser on the CPU: it asks for CUDA by name in four places, which are answered here."""
    _, settings, group_size, desc_act, sym = ARCHITECTURES[name]
    config = BaseQuantizeConfig(bits=4, group_size=group_size, desc_act=desc_act, sym=sym, model_file_base_name='model')
    available = torch.cuda.is_available
    torch.cuda.is_available = lambda: True
    model = gptq_class(source).from_pretrained(str(source), config, torch_dtype=torch.float32)
    torch.cuda.is_available = available
    base.CUDA_0 = torch.device('cpu')
    torch.cuda.synchronize = torch.cuda.empty_cache = lambda *a, **k: None
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, settings['vocab_size'], (CALIBRATION, 1, CALIBRATION_LENGTH), generator=generator)
    model.quantize([{'input_ids': i, 'attention_mask': torch.ones_like(i)} for i in ids], cache_examples_on_gpu=False)
    model.model.half()
    model.config._name_or_path = ''  # a temporary folder of this machine
    model.save_quantized(str(out), use_safetensors=True)


def gptq_class(folder: pathlib.Path):
    return MAPS[transformers.AutoConfig.from_pretrained(folder).model_type]


def oracle(folder: pathlib.Path) -> dict[str, torch.Tensor]:
    """AutoGPTQ's logits for the candidate whose greedy tokens stand out most: a near tie would say nothing."""
    wrapped = gptq_class(folder).from_quantized(
        str(folder), model_basename='model', use_safetensors=True, device='cpu', torch_dtype=torch.float32
    )
    model = wrapped.model.eval()
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(3, model.config.vocab_size, (CANDIDATES, LENGTH), generator=generator)
    with torch.no_grad():
        logits = model(ids).logits[:, -POSITIONS:].float()
    top = logits.topk(2, dim=-1).values
    best = (top[..., 0] - top[..., 1]).amin(-1).argmax()
    with torch.no_grad():
        alone = model(ids[best : best + 1]).logits[0, -POSITIONS:].float()
    return {'input_ids': ids[best].int().contiguous(), 'logits': alone.contiguous()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=pathlib.Path)
    parser.add_argument(
        'names', nargs='*', help=f'of {", ".join(ARCHITECTURES)}; by default all that this transformers has'
    )
    args = parser.parse_args()
    for name in args.names or [n for n, (kind, *_) in ARCHITECTURES.items() if hasattr(transformers, kind)]:
        out = args.out / name
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as source:
            unquantised(name, pathlib.Path(source))
            quantise(name, pathlib.Path(source), out)
        found = oracle(out)
        save_file(found, out / 'oracle.safetensors')
        top = found['logits'].topk(2, dim=-1).values
        size = sum(p.stat().st_size for p in out.iterdir())
        print(name, transformers.__version__, size, 'bytes, margin', float((top[:, 0] - top[:, 1]).min()), flush=True)


if __name__ == '__main__':
    main()
