"""The GPU path against its reference, then its speed, on random 7B weights made in the GPU's memory: a minute in all.

python tools/check_gpu.py [LAYERS]
"""

import logging
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'extensions'))
from airoboros_gptq.generation.kv_cache import crop_to, make_cache
from airoboros_gptq.generation.runtime import attach
from airoboros_gptq.kernels.linear import GPTQLinear
from airoboros_gptq.kernels.packing import LinearSpec, PackedLinear


def make(layers, kernel, act_order=False, dtype=torch.float16, kv_heads=32):
    """A 7B of random 4-bit weights, the same for every kernel."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=4096, intermediate_size=11008, num_hidden_layers=layers, num_attention_heads=32,
        num_key_value_heads=kv_heads, vocab_size=32000, max_position_embeddings=2048,
    )  # fmt: skip
    with torch.device('meta'):
        model = LlamaForCausalLM(config)
    linears = [(n, m) for n, m in model.named_modules() if n.endswith('_proj')]
    for name, old in linears:
        k, n = old.in_features, old.out_features
        order = torch.arange(k, device='cuda')
        if act_order:
            generator = torch.Generator('cuda').manual_seed(k + ('mlp' in name))
            order = order[torch.randperm(k, device='cuda', generator=generator)]
        packed = PackedLinear(
            torch.randint(-(2**31), 2**31, (k // 8, n), device='cuda').int(),
            torch.full((k // 128, n // 8), 0x77777777, device='cuda').int(),
            (torch.rand(k // 128, n, device='cuda') * 0.2 + 0.9).half() * (0.1 / k**0.5),
            (order // 128).int(),
        )
        parent, _, child = name.rpartition('.')
        linear = GPTQLinear(packed, LinearSpec(k, n, 4, 128, act_order), None, kernel, dtype)
        setattr(model.get_submodule(parent), child, linear)
    for module in model.modules():
        for name, p in list(module._parameters.items()):
            if p is not None and p.is_meta:
                value = (
                    torch.randn(p.shape, device='cuda') * 0.02 if p.dim() > 1 else torch.rand(p.shape, device='cuda')
                )
                module._parameters[name] = torch.nn.Parameter(value.to(dtype), requires_grad=False)
    with torch.device('cuda'):
        model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model.eval()


@torch.inference_mode()
def check(act_order, dtype, kv_heads, context):
    model = make(2, 'triton', act_order, dtype, kv_heads)
    right = make(2, 'reference', act_order, torch.float32, kv_heads).float()
    attach(model)
    ids = torch.randint(3, 32000, (1, context + 4), device='cuda')
    cache, right_cache = make_cache(model), make_cache(right)
    worst = deviation(
        model(ids[:, :context], past_key_values=cache).logits,
        right(ids[:, :context], past_key_values=right_cache).logits,
    )
    first = worst
    for i in range(context, context + 4):
        got = model(ids[:, i : i + 1], past_key_values=cache).logits
        worst = max(worst, deviation(got, right(ids[:, i : i + 1], past_key_values=right_cache).logits))
    print(f'act_order {act_order} {dtype} kv_heads {kv_heads} context {context}: prefill {first:.1e} decode {worst:.1e}'
          f' graph {model.gptq.fused_forward.graph.is_captured}')  # fmt: skip


def deviation(got, right):
    return float((got.float() - right.float()).norm() / right.float().norm())


@torch.inference_mode()
def time_it(layers, act_order):
    model = make(layers, 'triton', act_order)
    attach(model)
    bytes_read = 3.63e9 * layers / 32
    for context in (64, 512, 1500):
        ids = torch.randint(3, 32000, (1, context), device='cuda')
        for _ in range(3):
            cache = make_cache(model)
            torch.cuda.synchronize()
            start = time.perf_counter()
            model(ids, past_key_values=cache, logits_to_keep=1)
            torch.cuda.synchronize()
            seconds = time.perf_counter() - start
        print(f'prefill {context}: {context / seconds:.0f} tokens/s ({seconds * 1000:.1f} ms)')
    for context in (16, 1500):
        crop_to(cache, context)
        token = ids[:, :1]
        model.gptq.fused_forward.decode_greedily(cache, token, 8)
        for _ in range(2):
            crop_to(cache, context)
            torch.cuda.synchronize()
            start = time.perf_counter()
            model.gptq.fused_forward.decode_greedily(cache, token, 128)
            torch.cuda.synchronize()
            ms = (time.perf_counter() - start) / 128 * 1000
        read = bytes_read + context * 2 * 4096 * 2 * layers
        print(f'act_order {act_order} decode at {context}: {1000 / ms:.1f} tokens/s, {read / ms / 1e6:.0f} GB/s')
    from torch.profiler import ProfilerActivity, profile

    def decode(at):
        crop_to(cache, at)
        model.gptq.fused_forward.decode_greedily(cache, token, 4)

    for what, count, run in (
        ('decode at 16', 4, lambda: decode(16)),
        ('decode at 1500', 4, lambda: decode(1500)),
        ('prefill of 1500', 1, lambda: model(ids, past_key_values=make_cache(model), logits_to_keep=1)),
    ):
        with profile(activities=[ProfilerActivity.CUDA]) as prof:
            run()
            torch.cuda.synchronize()
        rows = [e for e in prof.key_averages() if e.device_time_total]
        print(what, f'{sum(e.device_time_total for e in rows) / count:.0f} us in all')
        for e in sorted(rows, key=lambda e: -e.device_time_total)[:9]:
            print(f'  {e.key[:60]:<60} {e.device_time_total / count:8.1f} us {e.count / count:6.1f} calls')


if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO)
    check(True, torch.float16, 32, 40)
    check(False, torch.bfloat16, 8, 700)
    layers = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    time_it(layers, False)
    time_it(layers, True)
    buffer = torch.ones(1 << 30, device='cuda')
    for _ in range(3):
        buffer.sum()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        buffer.sum()
    torch.cuda.synchronize()
    print(f'read bandwidth {10 * buffer.nbytes / (time.perf_counter() - start) / 1e9:.0f} GB/s')
