"""Folders, questions and packed tensors for the tests. torch is imported where it is needed."""

import importlib
import importlib.util
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

from airoboros_gptq.real_model.source import model_folder

ROOT = Path(__file__).resolve().parents[2]
EXTENSIONS = ROOT / 'extensions'
ORACLES = ROOT / 'tests' / 'oracles'
TINY = ROOT / 'tests' / 'models' / 'airoboros-tiny-gpt4-1.2-GPTQ'
PLAIN = 'airoboros-tiny-gpt4-1.2-GPTQ-4bit-128g.no-act-order.safetensors'
ACT_ORDER = 'airoboros-tiny-gpt4-1.2-GPTQ-4bit-128g.act.order.safetensors'
VOCABULARY = 1280  # its tokens
LLAMA_TOKENIZER = Path(
    os.environ.get('AIROBOROS_LLAMA_TOKENIZER', ROOT.parent / 'shared' / 'data' / 'llama-tokenizer.model')
)
# SmolLM2-135M-Instruct, which `python -m airoboros_gptq real-model` fetches; tests of it skip where it is not. By the cache
# folder as it is now: tests change AIROBOROS_GPTQ_CACHE.
REAL_MODEL = model_folder()
AUTO_GPTQ = importlib.util.find_spec('auto_gptq') is not None
NO_AUTO_GPTQ = 'the package auto-gptq is not installed (pip install --no-deps auto-gptq==0.7.1)'


def cpu_kernel():
    """The kernel that auto takes on this CPU for an ordinary file."""
    from airoboros_gptq.kernels.cpu.library_cache import unsupported_reason

    return 'native-cpu' if unsupported_reason() is None else 'torch-int4'


def copy_tiny(folder, *checkpoints):
    """The tiny model's folder with only these checkpoints in it."""
    folder.mkdir(parents=True)
    for path in TINY.iterdir():
        if path.suffix != '.safetensors' or path.name in checkpoints:
            shutil.copyfile(path, folder / path.name)
    return folder


def edit_json(path, **changes):
    """Sets keys of a JSON file; None takes a key out."""
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in value.items() if v is not None}))


def edit_tensors(path, change):
    """Rewrites a safetensors file; `change` edits the dictionary of its tensors in place."""
    from safetensors.torch import load_file, save_file

    # Through bytes: a file must not be rewritten while its tensors are mapped from it.
    tensors = {name: t.clone() for name, t in load_file(path).items()}
    change(tensors)
    save_file({name: t.contiguous() for name, t in tensors.items()}, path, metadata={'format': 'pt'})


def drop_g_idx(tensors):
    """As AutoGPTQ wrote files before it knew act-order."""
    for name in [n for n in tensors if n.endswith('.g_idx')]:
        del tensors[name]


def scales_to_fp32(tensors):
    """As in the published airoboros-7B-gpt4-1.2-GPTQ, 4.52 GB for want of a cast."""
    for name, t in tensors.items():
        if t.is_floating_point():
            tensors[name] = t.float()


def corpus():
    """tests/models/make/corpus.py, which wrote the conversations that the tiny model was trained on."""
    folder = str(ROOT / 'tests' / 'models' / 'make')
    if 'corpus' not in sys.modules:
        sys.path.insert(0, folder)
        try:
            importlib.import_module('corpus')
        finally:
            sys.path.remove(folder)
    return sys.modules['corpus']


def exam(count, seed=2023):
    """Held-out conversations in set phrasings, as turns of (user, assistant); the last answer is the one asked for."""
    rng, kinds = random.Random(seed), ('code', 'sums', 'capitals', 'memory')
    return [corpus().conversation(rng, exam=True, kind=kinds[i % len(kinds)])[0] for i in range(count)]


def asked(turns):
    """The turns as prompts.render takes them: the last answer is due."""
    return [*turns[:-1], (turns[-1][0], None)]


def greedy(model, tokenizer, prompt, **tokenizing):
    """The whole answer as the model continues `prompt`, decoded, without special tokens."""
    import torch

    inputs = tokenizer(prompt, return_tensors='pt', **tokenizing)
    with torch.inference_mode():
        out = model.generate(**inputs, do_sample=False, max_new_tokens=120)
    return tokenizer.decode(out[0, inputs.input_ids.shape[1] :], skip_special_tokens=True)


def cache_bytes(model, tokens):
    """The bytes of a cache that a forward pass of so many tokens leaves."""
    import torch

    with torch.inference_mode():
        cache = model(torch.ones(1, tokens, dtype=torch.long), use_cache=True).past_key_values
    layers = [(layer.keys, layer.values) for layer in cache.layers] if hasattr(cache, 'layers') else list(cache)
    return sum(t.numel() * t.element_size() for pair in layers for t in pair[:2])


def exactness(model, tokenizer, conversations, render, **tokenizing):
    """The share of conversations whose greedy answer is right to the letter."""
    right = [greedy(model, tokenizer, render(asked(turns)), **tokenizing) == turns[-1][1] for turns in conversations]
    return sum(right) / len(right)


def synthetic(folder, layers=28):
    """A checkpoint of 4-bit linears of random words, of a model like the tiny one but wider and deeper."""
    import torch
    from safetensors.torch import save_file

    shape = {'hidden_size': 1024, 'intermediate_size': 2816, 'num_hidden_layers': layers, 'num_attention_heads': 8}
    copy_tiny(folder)
    edit_json(folder / 'config.json', **shape, num_key_value_heads=8)
    h, m = shape['hidden_size'], shape['intermediate_size']
    tensors = {'model.norm.weight': torch.ones(h).half()}
    tensors |= {n: torch.randn(1280, h).half() for n in ('model.embed_tokens.weight', 'lm_head.weight')}
    sizes = {f'self_attn.{n}_proj': (h, h) for n in 'qkvo'} | {'mlp.gate_proj': (h, m), 'mlp.up_proj': (h, m)}
    for layer in range(layers):
        at = f'model.layers.{layer}.'
        for name, (k, n) in (sizes | {'mlp.down_proj': (m, h)}).items():
            tensors[f'{at}{name}.qweight'] = torch.randint(-(2**31), 2**31, (k // 8, n)).int()
            tensors[f'{at}{name}.qzeros'] = torch.full((k // 128, n // 8), 0x77777777).int()
            tensors[f'{at}{name}.scales'] = torch.full((k // 128, n), 1e-3).half()
            tensors[f'{at}{name}.g_idx'] = (torch.arange(k) // 128).int()
        tensors |= {f'{at}{n}.weight': torch.ones(h).half() for n in ('input_layernorm', 'post_attention_layernorm')}
    save_file(tensors, folder / 'model.safetensors')
    return (folder / 'model.safetensors').stat().st_size


def pack(values, bits):
    """int [R, C] to int32 words along the first axis, lowest bits first: the format written the long way, with Python's
    integers, so that it shares nothing with what it tests.
    """
    import numpy as np

    rows, columns = values.shape
    words = np.zeros((rows * bits // 32, columns), dtype=np.uint32)
    for c in range(columns):
        number = sum(int(v) << (bits * r) for r, v in enumerate(values[:, c]))
        for w in range(words.shape[0]):
            words[w, c] = (number >> (32 * w)) & 0xFFFFFFFF
    return words.view(np.int32)


def write_script(path, text):
    """An executable shell script; its path as text."""
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return str(path)


def run_cli(*arguments, stdin='', **environment):
    """`python -m airoboros_gptq ...` as a person runs it: (exit code, stdout, stderr)."""
    return run_python('-m', 'airoboros_gptq', *arguments, stdin=stdin, **environment)


def run_python(*arguments, stdin='', **environment):
    paths = os.pathsep.join(p for p in (str(EXTENSIONS), os.environ.get('PYTHONPATH', '')) if p)
    settings = {'HF_HUB_OFFLINE': '1', 'CUDA_VISIBLE_DEVICES': '', 'PYTHONIOENCODING': 'utf-8', 'PYTHONPATH': paths}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        input=stdin,
        env={**os.environ, **settings, **environment},
        capture_output=True,
        encoding='utf-8',
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def write_safetensors(path, tensors):
    """A safetensors file without the library: {name: (dtype, shape, bytes)}."""
    header, data = {}, b''
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {'dtype': dtype, 'shape': list(shape), 'data_offsets': [len(data), len(data) + len(content)]}
        data += content
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(raw)) + raw + data)
    return path


def write_checkpoint(path, g_idx=(0, 0, 1, 1), qweight=True):
    """The least that counts as a GPTQ checkpoint: one linear's g_idx, and an empty qweight."""
    tensors = {'a.g_idx': ('I32', (len(g_idx),), struct.pack(f'<{len(g_idx)}i', *g_idx))}
    if qweight:
        tensors['a.qweight'] = ('I32', (1, 8), bytes(32))
    return write_safetensors(path, tensors)
