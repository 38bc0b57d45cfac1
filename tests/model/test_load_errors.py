"""Every fault of a folder is one sentence that names the file, the fault and the remedy; in Python and in a terminal."""

import json
import math
import re
import struct

import pytest
import torch
from airoboros_gptq import GPTQError, load
from support import PLAIN, cpu_kernel, edit_json, edit_tensors, run_cli
from verdicts import compare_verdicts, inspected

Q = 'model.layers.1.mlp.up_proj'
OTHER = 'model.layers.2.mlp.up_proj.g_idx'


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def change(folder, edit):
    edit_tensors(folder / PLAIN, edit)


def retype(name, dtype):
    return lambda tensors: tensors.__setitem__(name, tensors[name].to(dtype))


def put(name, value):
    return lambda tensors: tensors[name].view(-1).__setitem__(5, value)


def edit_model(path, **changes):
    tokenizer = json.loads(path.read_text(encoding='utf-8'))
    tokenizer['model'].update(changes)
    path.write_text(json.dumps(tokenizer), encoding='utf-8')


def reshape(name, *shape):
    return lambda tensors: tensors.__setitem__(name, torch.zeros(*shape, dtype=tensors[name].dtype))


# what is wrong: (how it is made, what the sentence says)
FAULTS = {
    'broken quantize_config': (
        lambda f: (f / 'quantize_config.json').write_text('{"bits": 4,'),
        r'quantize_config\.json is not valid JSON .*download it again',
    ),
    'wrong type': (
        lambda f: edit_json(f / 'quantize_config.json', bits='4'),
        r"quantize_config\.json says bits is '4'",
    ),
    'wrong bits': (lambda f: edit_json(f / 'quantize_config.json', bits=5), r'quantize_config\.json says bits is 5'),
    'no group size': (lambda f: edit_json(f / 'quantize_config.json', group_size=0), r'says group_size is 0'),
    'no checkpoint': (lambda f: (f / PLAIN).unlink(), r'no \.safetensors file, nor a \.bin or \.pt; download'),
    'truncated': (lambda f: cut(f / PLAIN, 2_000_000), rf'{PLAIN} is 2\.00 MB of 3\.62 MB: .*download it again'),
    'truncated in its header': (lambda f: cut(f / PLAIN, 999), r'ends inside its header: .*download it again'),
    'too long': (lambda f: (f / PLAIN).open('ab').write(b'more'), r'not a whole safetensors file .*download it again'),
    'lfs pointer': (
        lambda f: (f / PLAIN).write_text('version https://git-lfs.github.com/spec/v1\n'),
        r'is a Git LFS pointer.*download',
    ),
    'header too long': (
        lambda f: (f / PLAIN).write_bytes(struct.pack('<Q', 2**40) + bytes(99)),
        r'not a safetensors file; download',
    ),
    'no qweight': (
        lambda f: change(f, lambda t: t.pop(f'{Q}.qweight')),
        rf'lacks the tensor {Q}\.qweight, though .*download',
    ),
    'no scales': (lambda f: change(f, lambda t: t.pop(f'{Q}.scales')), rf'lacks the tensor {Q}\.scales; download'),
    'no norm': (lambda f: change(f, lambda t: t.pop('model.norm.weight')), r'lacks the tensor model\.norm\.weight'),
    'a layer short': (
        lambda f: edit_json(f / 'config.json', num_hidden_layers=4),
        r'holds model\.layers\.4\..*another model',
    ),
    'scales that do not fit': (
        lambda f: change(f, reshape(f'{Q}.scales', 2, 500)),
        rf'{Q} with qweight \(32, 768\), scales \(2, 500\) .*download it again',
    ),
    'zeros that do not fit': (
        lambda f: change(f, reshape(f'{Q}.qzeros', 2, 93)),
        rf'{Q} in 3\.875 bits; this loader reads 2, 3, 4 and 8',
    ),
    'g_idx that does not fit': (
        lambda f: change(f, reshape(f'{Q}.g_idx', 255)),
        rf'{Q}\.g_idx as I32 \(255,\) where I32 \(256,\) is expected; download',
    ),
    'norm that does not fit': (
        lambda f: change(f, reshape('model.norm.weight', 255)),
        r'model\.norm\.weight of shape \(255,\), config\.json asks for \(256,\)',
    ),
    'linear that does not fit': (
        lambda f: edit_json(f / 'config.json', intermediate_size=640),
        r'config\.json asks for .*another model',
    ),
    'qweight of another dtype': (
        lambda f: change(f, retype(f'{Q}.qweight', torch.int16)),
        rf'{Q}\.qweight as I16; this loader reads I32',
    ),
    'scales of whole numbers': (
        lambda f: change(f, retype(f'{Q}.scales', torch.int32)),
        rf'{Q}\.scales as I32; this loader reads F16, BF16, F32',
    ),
    'norm of whole numbers': (
        lambda f: change(f, retype('model.norm.weight', torch.int32)),
        r'model\.norm\.weight as I32 where floating point is expected; download',
    ),
    'g_idx out of range': (
        lambda f: change(f, lambda t: t[f'{Q}.g_idx'].__setitem__(3, 2)),
        rf'{Q}\.g_idx with groups outside 0 to 1; download',
    ),
    'NaN scales': (lambda f: change(f, put(f'{Q}.scales', math.nan)), rf'{Q}\.scales with NaN or infinity .*download'),
    'infinite scales': (lambda f: change(f, put(f'{Q}.scales', -math.inf)), rf'{Q}\.scales with NaN or infinity'),
    'empty scales': (lambda f: change(f, lambda t: t[f'{Q}.scales'].zero_()), rf'{Q}\.scales .*zeros .*interrupted'),
    'NaN embeddings': (
        lambda f: change(f, put('model.embed_tokens.weight', math.nan)),
        r'model\.embed_tokens\.weight with NaN or infinity',
    ),
    'a quantised part too many': (
        lambda f: change(f, lambda t: t.update({'model.other.qzeros': t[f'{Q}.qzeros'].clone()})),
        r'lacks the tensor model\.other\.qweight, though it holds model\.other\.qzeros; download',
    ),
    'a quantised linear too many': (
        lambda f: change(
            f, lambda t: t.update({n.replace(Q, 'model.other'): v.clone() for n, v in t.items() if Q in n})
        ),
        r'holds model\.other, which a LlamaForCausalLM does not have; it belongs to another model',
    ),
    'act-order, and one without g_idx': (
        lambda f: change(f, lambda t: [t.pop(f'{Q}.g_idx'), t.update({OTHER: t[OTHER].flip(0)})]),
        rf'lacks the tensor {Q}\.g_idx, and has act-order; download',
    ),
    'a link to itself': (
        lambda f: [(f / PLAIN).unlink(), (f / PLAIN).symlink_to(PLAIN)],
        rf'{PLAIN} is a symbolic link that leads to no file; download',
    ),
    'an index naming a missing shard': (
        lambda f: [
            (f / PLAIN).rename(f / 'a.safetensors'),
            (f / 'model.safetensors.index.json').write_text(
                '{"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}'
            ),
        ],
        r'b\.safetensors is missing, though model\.safetensors\.index\.json asks for it; download',
    ),
    'too many layers': (
        lambda f: edit_json(f / 'config.json', num_hidden_layers=10**9),
        r'config\.json says num_hidden_layers is 1000000000, more than there are tensors; download',
    ),
    'half a window': (
        lambda f: edit_json(f / 'config.json', sliding_window=0.5),
        r'config\.json says sliding_window is 0\.5 where a whole number that fits is expected; download',
    ),
    'a window beyond all numbers': (
        lambda f: edit_json(f / 'config.json', sliding_window=10**30),
        r'config\.json says sliding_window is 10+ where a whole number that fits is expected; download',
    ),
    'an index naming what no disk can hold': (
        lambda f: (f / 'model.safetensors.index.json').write_text(
            json.dumps({'weight_map': {'a': PLAIN, 'b': 300 * 'x' + '.safetensors'}})
        ),
        r'x\.safetensors is missing, though model\.safetensors\.index\.json asks for it; download',
    ),
    'no attention heads': (
        lambda f: edit_json(f / 'config.json', num_attention_heads=0),
        r'config\.json describes a model that transformers cannot build: ',
    ),
    'senseless generation config': (
        lambda f: (f / 'generation_config.json').write_text('{"max_new_tokens": "many"}'),
        r'generation_config\.json holds what transformers refuses .*remove it',
    ),
    'not quantised': (
        lambda f: change(f, lambda t: [t.pop(n) for n in list(t) if 'proj' in n]),
        rf'{PLAIN} has no quantised linear',
    ),
    'no config.json': (lambda f: (f / 'config.json').unlink(), r'has no config\.json; download it'),
    'broken config.json': (lambda f: (f / 'config.json').write_text('{'), r'config\.json is not valid JSON .*download'),
    'unknown model': (lambda f: edit_json(f / 'config.json', model_type='nonsense'), r'config\.json describes a model'),
    'a tokenizer at which Rust panics': (
        lambda f: edit_model(f / 'tokenizer.json', continuing_subword_prefix='float16'),
        r'tokenizer in .* cannot be loaded \(.*\); download its files again',
    ),
    'no tokenizer': (
        lambda f: [(f / n).unlink() for n in ('tokenizer.json', 'tokenizer.model')],
        r'has no tokenizer \(tokenizer\.json or tokenizer\.model\); download it',
    ),
}


def assert_a_sentence(text, pattern, folder):
    assert re.search(pattern, text), text
    assert '\n' not in text and len(text) < 500
    assert folder.name in text or PLAIN in text or 'config' in text


@pytest.mark.parametrize('fault', FAULTS)
def test_in_python(tiny_copy, fault):
    make, pattern = FAULTS[fault]
    make(tiny_copy)
    with pytest.raises(GPTQError) as e:
        load(tiny_copy, device='cpu')
    assert_a_sentence(str(e.value), pattern, tiny_copy)
    seen = inspected(tiny_copy)
    assert seen == str(e.value) or (seen is None and compare_verdicts(seen, str(e.value)) is None)


def from_terminal(pattern, *arguments):
    code, out, err = run_cli(*arguments, stdin='Hi\n')
    assert code == 1 and out == ''
    assert 'Traceback' not in err
    assert re.search(pattern, err.strip().splitlines()[-1]), err


@pytest.mark.parametrize('fault', ['no scales', 'no tokenizer', 'broken quantize_config'])
def test_in_a_terminal(tiny_copy, fault):
    make, pattern = FAULTS[fault]
    make(tiny_copy)
    from_terminal(pattern, 'chat', '--model-path', tiny_copy, '--device', 'cpu')


@pytest.mark.parametrize('fault', ['wrong type', 'truncated', 'lfs pointer', 'no checkpoint'])
def test_inspect_in_a_terminal(tiny_copy, fault):
    make, pattern = FAULTS[fault]
    make(tiny_copy)
    from_terminal(pattern, 'inspect', tiny_copy)


def test_what_is_asked_for_in_a_terminal(tiny_copy):
    chat = ('chat', '--model-path', tiny_copy)
    from_terminal('no kernel exllama; choose one of auto', *chat, '--kernel', 'exllama', '--device', 'cpu')
    from_terminal(f'no checkpoint model.act; it has: {PLAIN}', *chat, '--checkpoint', 'model.act')
    from_terminal("no cuda:7 on this machine; use device='cpu'", *chat, '--device', 'cuda:7')


def test_not_a_folder(tiny_copy):
    with pytest.raises(GPTQError, match=r'absent does not exist; check the path'):
        load(tiny_copy / 'absent')
    with pytest.raises(GPTQError, match=r'config\.json is a file; name the folder that holds the model'):
        load(tiny_copy / 'config.json')
    from_terminal('does not exist; check the path', 'inspect', tiny_copy / 'absent')
    from_terminal('name the folder', 'chat', '--model-path', tiny_copy / 'config.json')


def test_a_repository_that_is_not_to_be_had(monkeypatch):
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    from_terminal('neither a folder here nor to be had from Hugging Face', 'inspect', 'nobody/no-such-model-GPTQ')


def test_a_kernel_that_cannot_run_it(tiny_copy):
    with pytest.raises(GPTQError, match=r'The kernel triton cannot run this model here: .*; choose auto'):
        load(tiny_copy, kernel='triton', device='cpu')


def test_a_kernel_of_an_earlier_version_means_auto(tiny_copy, caplog):
    model, _ = load(tiny_copy, kernel='auto-gptq', device='cpu')
    assert {m.kernel.name for m in model.modules() if hasattr(m, 'kernel')} == {cpu_kernel()}
    assert [line for line in caplog.messages if 'auto-gptq' in line] == [
        'The kernel auto-gptq was removed; auto is used instead.'
    ]


def test_a_checkpoint_format_that_there_is_not(tiny_copy):
    with pytest.raises(GPTQError, match=r'no checkpoint format gptq_v3; choose gptq or gptq_v2'):
        load(tiny_copy, checkpoint_format='gptq_v3', device='cpu')
