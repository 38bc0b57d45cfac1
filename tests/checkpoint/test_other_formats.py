"""Checkpoints of other methods are refused by name; GPTQ's own are known by their tensors, whatever configs they have."""

import json

import pytest
from airoboros_gptq.checkpoint.checkpoint import open_checkpoint
from airoboros_gptq.checkpoint.other_formats import OTHER_METHODS
from airoboros_gptq.checkpoint.quant_inference import infer_quantization
from airoboros_gptq.checkpoint.quantize_config import is_gptq_folder, read_quantize_config
from airoboros_gptq.errors import GPTQError
from support import write_safetensors

SETTINGS = {'bits': 4, 'group_size': 128, 'damp_percent': 0.01, 'desc_act': False, 'sym': True, 'true_sequential': True}


def write(folder, name, value):
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


@pytest.mark.parametrize('method', OTHER_METHODS)
@pytest.mark.parametrize('key', ['quant_method', 'method', 'checkpoint_format', 'format'])
def test_other_methods_are_refused_by_name(tmp_path, method, key):
    settings = SETTINGS | {key: method.upper()}
    write(tmp_path, 'config.json', {'quantization_config': settings})
    assert not is_gptq_folder(tmp_path)
    with pytest.raises(GPTQError) as e:
        read_quantize_config(tmp_path)
    name, reader = OTHER_METHODS[method]
    assert str(e.value).startswith('config.json says that this is ') and method in str(e.value).lower()
    assert name in str(e.value) and str(e.value).endswith(f'load it with {reader}.')


@pytest.mark.parametrize(
    ('settings', 'name'),
    [
        ({**SETTINGS, 'is_marlin_format': True}, 'Marlin'),
        ({'zero_point': True, 'q_group_size': 128, 'w_bit': 4, 'version': 'GEMM'}, 'AWQ'),  # AutoAWQ names no method
        ({'load_in_4bit': True, 'bnb_4bit_quant_type': 'nf4'}, 'bitsandbytes'),
    ],
)
def test_methods_that_go_without_a_name(tmp_path, settings, name):
    write(tmp_path, 'quant_config.json', settings)
    assert not is_gptq_folder(tmp_path)
    with pytest.raises(GPTQError, match=f'quant_config.json says that this is .*{name}'):
        read_quantize_config(tmp_path)


QWEIGHT, QZEROS, SCALES = ('I32', (8, 16), bytes(512)), ('I32', (1, 2), bytes(8)), ('F16', (1, 16), bytes(32))
GPTQ_TENSORS = {'a.qweight': QWEIGHT, 'a.qzeros': QZEROS, 'a.scales': SCALES}
# AWQ: 64 rows of 16 columns in groups of 64, packed along the columns.
AWQ_TENSORS = {'a.qweight': ('I32', (64, 2), bytes(512)), 'a.qzeros': QZEROS, 'a.scales': SCALES}
OTHER_TENSORS = {
    'AWQ': AWQ_TENSORS,
    'EXL2': {'a.q_weight': QWEIGHT, 'a.q_scale': QZEROS, 'a.q_groups': QZEROS},
    'EXL3': {'a.trellis': QWEIGHT, 'a.suh': SCALES, 'a.svh': SCALES},
    'Marlin': {'a.B': QWEIGHT, 'a.s': SCALES},
    'BitBLAS': {'a.qweight': ('I8', (16, 8), bytes(128)), 'a.scales': SCALES},
    'bitsandbytes': {'a.weight': ('U8', (8,), bytes(8)), 'a.weight.absmax': SCALES, 'a.weight.quant_map': SCALES},
}


def test_a_folder_without_a_config_is_known_by_its_tensors(tmp_path):
    write_safetensors(tmp_path / 'odd name.safetensors', GPTQ_TENSORS)
    assert is_gptq_folder(tmp_path)
    (tmp_path / 'odd name.safetensors').write_bytes((tmp_path / 'odd name.safetensors').read_bytes()[:-9])
    write(tmp_path, 'config.json', '{')
    assert is_gptq_folder(tmp_path)  # broken, but ours to complain about
    (tmp_path / 'config.json').unlink()
    assert is_gptq_folder(tmp_path)  # cut short, but ours to complain about
    (tmp_path / 'odd name.safetensors').write_bytes(b'nonsense')
    assert not is_gptq_folder(tmp_path)


@pytest.mark.parametrize('index', [True, False])
def test_shards_are_known_by_their_tensors(tmp_path, index):
    shards = {'a': 'm-00001-of-00002.safetensors', 'b': 'm-00002-of-00002.safetensors'}
    for module, name in shards.items():
        write_safetensors(tmp_path / name, {n.replace('a.', f'{module}.', 1): t for n, t in GPTQ_TENSORS.items()})
    if index:
        write(tmp_path, 'm.safetensors.index.json', {'weight_map': {f'{m}.qweight': n for m, n in shards.items()}})
    assert is_gptq_folder(tmp_path)


@pytest.mark.parametrize('name', OTHER_TENSORS)
def test_other_tensors_are_refused_by_name(tmp_path, name):
    write_safetensors(tmp_path / 'model.safetensors', OTHER_TENSORS[name])
    assert not is_gptq_folder(tmp_path)
    with pytest.raises(GPTQError, match=rf'^model\.safetensors is .*{name}\b.*, not GPTQ; load it with'):
        infer_quantization(open_checkpoint(tmp_path, 'model.safetensors'), read_quantize_config(tmp_path))


def test_plain_tensors_are_not_ours(tmp_path):
    write_safetensors(tmp_path / 'model.safetensors', {'a.weight': SCALES})
    assert not is_gptq_folder(tmp_path)
