"""load(): the same logits as AutoGPTQ's own, an ordinary transformers model, and memory for one copy."""

import contextlib
import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.airoboros.conversation import render
from airoboros_gptq.checkpoint import checkpoint as checkpoint_module
from airoboros_gptq.checkpoint.safetensors_header import Header
from airoboros_gptq.kernels.packing import PackedLinear
from airoboros_gptq.preflight.folder_summary import read_summary
from safetensors.torch import load_file, save_file
from support import (
    ACT_ORDER,
    AUTO_GPTQ,
    NO_AUTO_GPTQ,
    ORACLES,
    PLAIN,
    ROOT,
    TINY,
    copy_tiny,
    cpu_kernel,
    drop_g_idx,
    edit_tensors,
    run_python,
    scales_to_fp32,
    synthetic,
)

ORACLE = load_file(ORACLES / 'airoboros-tiny.safetensors')
KINDS = {'no-act-order': PLAIN, 'act-order': ACT_ORDER}
# Relative to the norm of AutoGPTQ's logits; with torch-int4 and native-cpu the whole model computes in bf16.
TOLERANCE = {'reference': 1e-5, 'torch-int4': 2e-2, 'native-cpu': 2e-2}


NEEDS_NATIVE = pytest.mark.skipif(cpu_kernel() != 'native-cpu', reason='there is no compiled kernel here')


def deviation(model, kind):
    """The largest relative deviation over the recorded conversations; asserts the same greedy tokens."""
    worst = 0.0
    for i in range(3):
        right = ORACLE[f'{i}.logits.{kind}']
        with torch.inference_mode():
            found = model(ORACLE[f'{i}.input_ids'][None].long()).logits[0, -right.shape[0] :].float()
        assert torch.equal(found.argmax(-1), right.argmax(-1))
        worst = max(worst, ((found - right).norm() / right.norm()).item())
    return worst


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    'kernel',
    [
        'reference',
        'torch-int4',
        pytest.param('native-cpu', marks=NEEDS_NATIVE),
    ],
)
def test_logits_are_autogptq_s(load_tiny, kernel, kind):
    model, _ = load_tiny(KINDS[kind], kernel)
    assert deviation(model, kind) < TOLERANCE[kernel]
    # The two files are further apart than any tolerance: the oracle tells them apart.
    other = next(k for k in KINDS if k != kind)
    right, wrong = ORACLE[f'0.logits.{kind}'], ORACLE[f'0.logits.{other}']
    assert (right - wrong).norm() / right.norm() > 0.02


@pytest.mark.skipif(not AUTO_GPTQ, reason=NO_AUTO_GPTQ)
@pytest.mark.parametrize('kind', KINDS)
def test_autogptq_s_linears_give_these_logits_in_a_loaded_model(kind):
    from autogptq import quant_linear

    model, _ = load(TINY, checkpoint=KINDS[kind], kernel='reference', device='cpu')
    for linear in model.modules():
        if hasattr(linear, 'kernel'):
            k = linear.kernel
            linear.kernel = quant_linear(PackedLinear(k.qweight, k.qzeros, k.scales, k.g_idx), linear.spec)
    assert deviation(model, kind) < TOLERANCE['reference']


@pytest.mark.parametrize('change', [drop_g_idx, scales_to_fp32])
def test_older_and_wider_files_say_the_same(tmp_path, change):
    folder = copy_tiny(tmp_path / 'tiny', PLAIN)
    edit_tensors(folder / PLAIN, change)
    model, _ = load(folder, kernel='reference', device='cpu')
    assert deviation(model, 'no-act-order') < TOLERANCE['reference']
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_fp32_files_are_cast(tmp_path):
    folder = copy_tiny(tmp_path / 'tiny', PLAIN)
    edit_tensors(folder / PLAIN, scales_to_fp32)
    model, _ = load(folder, device='cpu')
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert deviation(model, 'no-act-order') < TOLERANCE['torch-int4']


def test_shards_say_the_same(tmp_path):
    folder = copy_tiny(tmp_path / 'tiny')
    tensors = load_file(TINY / PLAIN)
    names, weight_map = sorted(tensors), {}
    for i in (0, 1):  # every other tensor: one linear's tensors lie in both files
        file = f'model-0000{i + 1}-of-00002.safetensors'
        save_file({n: tensors[n] for n in names[i::2]}, folder / file)
        weight_map |= dict.fromkeys(names[i::2], file)
    (folder / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': weight_map}))
    model, _ = load(folder, kernel='reference', device='cpu')
    assert deviation(model, 'no-act-order') < TOLERANCE['reference']


_opened: list[str] | None = None


def _watch_opens(event, arguments):
    if _opened is not None and event == 'open' and isinstance(arguments[0], (str, bytes, os.PathLike)):
        _opened.append(os.fsdecode(arguments[0]))


sys.addaudithook(_watch_opens)  # for good: Python takes none away


@contextlib.contextmanager
def opened_files(folder):
    """A Counter of the files of a folder that were opened within, by name, whichever library did it."""
    global _opened
    _opened, counts = [], Counter()
    try:
        yield counts
        for thread in threading.enumerate():
            if thread.name == 'reading ahead':
                thread.join()
    finally:
        counts.update(Path(path).name for path in _opened if Path(path).parent == folder)
        _opened = None


@pytest.fixture
def read_values(monkeypatch):
    """Which headers were read, and which tensors' values before loading, as (file, tensor)."""
    seen, header, ints = [], checkpoint_module.read_header, Header.read_ints
    monkeypatch.setattr(
        checkpoint_module, 'read_header', lambda path, *args: seen.append((path.name, '')) or header(path, *args)
    )
    monkeypatch.setattr(
        Header, 'read_ints', lambda self, name, *args: seen.append((self.path.name, name)) or ints(self, name, *args)
    )
    return seen


def folder_of_shards(folder):
    """The tiny model in two shards and with a second config, so that there is an index, and claims to compare."""
    copy_tiny(folder)
    tensors, weight_map = load_file(TINY / ACT_ORDER), {}
    for i, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), start=1):
        save_file({n: tensors[n] for n in names}, folder / f'model-0000{i}-of-00002.safetensors')
        weight_map |= dict.fromkeys(names, f'model-0000{i}-of-00002.safetensors')
    (folder / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': weight_map}))
    (folder / 'quant_config.json').write_text(json.dumps({'w_bit': 4}))
    return folder


@pytest.mark.parametrize('shards', [False, True], ids=['two candidates', 'shards'])
@pytest.mark.parametrize('summary_first', [False, True], ids=['a path', 'a summary'])
def test_nothing_of_a_folder_is_read_twice(tmp_path, read_values, shards, summary_first):
    from transformers import AutoConfig, AutoTokenizer

    folder = folder_of_shards(tmp_path / 'tiny') if shards else copy_tiny(tmp_path / 'tiny', PLAIN, ACT_ORDER)
    with opened_files(folder) as by_transformers:
        AutoConfig.from_pretrained(folder)
        AutoTokenizer.from_pretrained(folder)
    assert by_transformers['config.json']
    with opened_files(folder) as opened:
        load(read_summary(folder) if summary_first else folder, device='cpu')
    opened -= by_transformers  # which reads config.json and the tokenizer's files for itself
    small = {name: count for name, count in opened.items() if name.endswith('.json')}
    expected = ['quantize_config.json', 'config.json', 'tokenizer_config.json', 'generation_config.json']
    expected += ['quant_config.json', 'model.safetensors.index.json'] * shards
    assert small == dict.fromkeys(expected, 1) and opened['README.md'] <= 1
    # Headers, every g_idx, a few zero points.
    assert len(read_values) == len(set(read_values)) > 28
    # What goes into the model is read from one open file, after the hint to the system, which opens it too.
    for path in folder.glob('*.safetensors'):
        ahead = hasattr(os, 'posix_fadvise')
        before = sum(name == path.name for name, _ in read_values)
        taken = shards or path.name == PLAIN
        assert opened[path.name] == before + (1 + ahead) * taken


def test_a_summary_has_settled_what_it_was_read_with():
    summary = read_summary(TINY, ACT_ORDER)
    for option in ({'checkpoint': PLAIN}, {'checkpoint_format': 'gptq'}, {'revision': 'main'}):
        with pytest.raises(ValueError, match='go with a path, not a FolderSummary'):
            load(summary, device='cpu', **option)


def test_stops_at_the_end_token(load_tiny):
    model, tokenizer = load_tiny(PLAIN, 'torch-int4')
    inputs = tokenizer(render([('What is the capital of France?', None)]), return_tensors='pt')
    out = model.generate(**inputs, do_sample=False, max_new_tokens=200)
    new = out[0, inputs.input_ids.shape[1] :].tolist()
    assert tokenizer.decode(new) == 'The capital of France is Paris.</s>'
    assert new.count(2) == 1 and len(new) < 40


def test_is_an_ordinary_model(load_tiny):
    model, _ = load_tiny()
    assert type(model).__name__ == 'LlamaForCausalLM' and not model.training
    assert model.device == torch.device('cpu')
    assert not any(p.requires_grad or p.is_meta for p in model.parameters())
    assert sum(type(m).__name__ == 'GPTQLinear' for m in model.modules()) == 35


def test_pipeline(load_tiny):
    import transformers

    model, tokenizer = load_tiny(PLAIN, 'torch-int4')
    pipe = transformers.pipeline('text-generation', model=model, tokenizer=tokenizer)
    prompt = render([('Name the capital of Japan.', None)])
    (found,) = pipe(prompt, do_sample=False, max_new_tokens=50, return_full_text=False)
    assert found['generated_text'].strip() == 'The capital of Japan is Tokyo.'


def test_text_streamer(load_tiny, capsys):
    from transformers import TextStreamer

    model, tokenizer = load_tiny(PLAIN, 'torch-int4')
    inputs = tokenizer(render([('Name the capital of Japan.', None)]), return_tensors='pt')
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    model.generate(**inputs, do_sample=False, max_new_tokens=50, streamer=streamer)
    assert capsys.readouterr().out.strip() == 'The capital of Japan is Tokyo.'


MEMORY = """
import sys, threading, time
sys.path.insert(0, sys.argv[2])
import torch, transformers, sentencepiece, safetensors.torch
from airoboros_gptq import load

def anonymous():  # kB that are not pages of a file, which the system may drop at will
    return int(next(line for line in open('/proc/self/status') if line.startswith('RssAnon')).split()[1])

load(sys.argv[3], device='cpu', progress=print)  # what the first load of any model imports and allocates
peak, done = 0, False
def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.002)
before = anonymous()
watcher = threading.Thread(target=watch)
watcher.start()
model, _ = load(sys.argv[1], device='cpu', kernel=sys.argv[4], progress=lambda *a: None)
done = True
watcher.join()
print('figures', (peak - before) * 1024, (anonymous() - before) * 1024)
"""


@pytest.mark.skipif(not os.path.exists('/proc/self/status'), reason='memory is read off /proc, which Linux has')
@pytest.mark.parametrize('kernel', ['auto', 'torch-int4', 'reference'])
def test_never_a_second_full_copy(tmp_path, kernel):
    size = synthetic(tmp_path / 'wide')
    # With a fixed threshold glibc gives back what is freed; with a growing one it keeps some for later, now more, now less.
    malloc = {'MALLOC_MMAP_THRESHOLD_': '1000000'}
    code, out, err = run_python('-c', MEMORY, tmp_path / 'wide', ROOT / 'extensions', TINY, kernel, **malloc)
    assert code == 0, err
    peak, after = map(int, out.split('figures')[1].split())
    print(f'{kernel}: file {size / 1e6:.0f} MB, peak {peak / size:.2f} of it, afterwards {after / size:.2f}')
    assert size > 180e6
    # The converted weights, and the unpacking of one linear at a time.
    assert peak < 1.3 * size
    assert after < 1.1 * size
