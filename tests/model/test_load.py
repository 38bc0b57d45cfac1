"""load(): the same logits as AutoGPTQ's own, an ordinary transformers model, and memory for one copy."""

import json
import os

import pytest
import torch
from airoboros_gptq import GPTQError, load
from airoboros_gptq.airoboros.conversation import render
from safetensors.torch import load_file
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
    edit_json,
    edit_tensors,
    greedy,
    run_python,
    scales_to_fp32,
    synthetic,
)

ORACLE = load_file(ORACLES / 'airoboros-tiny.safetensors')
KINDS = {'no-act-order': PLAIN, 'act-order': ACT_ORDER}
# Relative to the norm of AutoGPTQ's logits; with torch-int4 and native-cpu the whole model computes in bf16.
TOLERANCE = {'reference': 1e-5, 'auto-gptq': 1e-5, 'torch-int4': 2e-2, 'native-cpu': 2e-2}


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
        pytest.param('auto-gptq', marks=pytest.mark.skipif(not AUTO_GPTQ, reason=NO_AUTO_GPTQ)),
    ],
)
def test_logits_are_autogptq_s(load_tiny, kernel, kind):
    model, _ = load_tiny(KINDS[kind], kernel)
    assert deviation(model, kind) < TOLERANCE[kernel]
    # The two files are further apart than any tolerance: the oracle tells them apart.
    other = next(k for k in KINDS if k != kind)
    right, wrong = ORACLE[f'0.logits.{kind}'], ORACLE[f'0.logits.{other}']
    assert (right - wrong).norm() / right.norm() > 0.02


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
    from safetensors.torch import save_file

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


def test_the_tokenizer_decides_the_special_ids(load_tiny):
    assert json.loads((TINY / 'generation_config.json').read_text())['eos_token_id'] == 1  # it lies
    model, _ = load_tiny()
    for config in (model.config, model.generation_config):
        assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 2)


def test_stops_at_the_end_token(load_tiny):
    model, tokenizer = load_tiny(PLAIN, 'torch-int4')
    inputs = tokenizer(render([('What is the capital of France?', None)]), return_tensors='pt')
    out = model.generate(**inputs, do_sample=False, max_new_tokens=200)
    new = out[0, inputs.input_ids.shape[1] :].tolist()
    assert tokenizer.decode(new) == 'The capital of France is Paris.</s>'
    assert new.count(2) == 1 and len(new) < 40


def test_generation_config_s_other_settings_are_kept(tiny_copy):
    edit_json(tiny_copy / 'generation_config.json', max_new_tokens=77, temperature=0.3, do_sample=True)
    model, _ = load(tiny_copy, device='cpu')
    assert (model.generation_config.max_new_tokens, model.generation_config.temperature) == (77, 0.3)


def test_is_an_ordinary_model(load_tiny):
    model, _ = load_tiny()
    assert type(model).__name__ == 'LlamaForCausalLM' and not model.training
    assert model.device == torch.device('cpu')
    assert not any(p.requires_grad or p.is_meta for p in model.parameters())
    assert sum(type(m).__name__ == 'GPTQLinear' for m in model.modules()) == 28


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


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_dtypes_one_may_ask_for(dtype):
    model, tokenizer = load(TINY, dtype=dtype, device='cpu')
    assert model.dtype == dtype
    assert greedy(model, tokenizer, render([('Name the capital of Japan.', None)])) == 'The capital of Japan is Tokyo.'


def test_progress_grows_to_the_total(tmp_path, capsys):
    seen = []
    load(TINY, device='cpu', progress=lambda done, total: seen.append((done, total)))
    done, totals = zip(*seen, strict=True)
    assert list(done) == sorted(done) and len(done) > 28
    assert set(totals) == {done[-1]}
    assert 0.9 < done[-1] / (TINY / PLAIN).stat().st_size <= 1
    assert capsys.readouterr().err == ''  # the caller's own bar is the only one


def test_without_a_callable_a_bar_is_drawn(capsys):
    load(TINY, device='cpu')
    assert f'Loading {PLAIN}: 100%' in capsys.readouterr().err


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
    code, out, err = run_python('-c', MEMORY, tmp_path / 'wide', ROOT / 'extensions', TINY, kernel)
    assert code == 0, err
    peak, after = map(int, out.split('figures')[1].split())
    print(f'{kernel}: file {size / 1e6:.0f} MB, peak {peak / size:.2f} of it, afterwards {after / size:.2f}')
    assert size > 180e6
    # The converted weights, and the unpacking of one linear at a time.
    assert peak < 1.3 * size
    assert after < 1.1 * size


@pytest.mark.parametrize('device', ['cuda:99', 'cuda:0', 99])
def test_a_gpu_that_is_not_there(device):
    if device == 'cuda:0' and torch.cuda.is_available():
        pytest.skip('this machine has one')
    with pytest.raises(GPTQError, match=r"no cuda:\d+ on this machine; use device='cpu'"):
        load(TINY, device=device)


def test_a_device_that_is_none():
    with pytest.raises(GPTQError, match="no device nonsense; use 'cpu'"):
        load(TINY, device='nonsense')
