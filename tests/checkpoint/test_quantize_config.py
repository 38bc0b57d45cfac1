"""What a folder says of its quantisation, over the years and where it is broken."""

import json

import pytest
from airoboros_gptq.checkpoint.checkpoint import open_checkpoint
from airoboros_gptq.checkpoint.hf_config import read_json
from airoboros_gptq.checkpoint.other_formats import OTHER_METHODS
from airoboros_gptq.checkpoint.quant_inference import infer_quantization
from airoboros_gptq.checkpoint.quantize_config import is_gptq_folder, parse_settings, read_quantize_config
from airoboros_gptq.errors import GPTQError
from support import write_safetensors

JUNE_2023 = {
    'bits': 4,
    'group_size': 128,
    'damp_percent': 0.01,
    'desc_act': False,
    'sym': True,
    'true_sequential': True,
}
YEARS = {
    'June 2023': JUNE_2023,
    'July 2023': {**JUNE_2023, 'model_name_or_path': None, 'model_file_base_name': None},
    'August 2023': {**JUNE_2023, 'static_groups': False, 'model_file_base_name': 'model'},
    'AutoGPTQ 0.7.1': {**JUNE_2023, 'is_marlin_format': False, 'checkpoint_format': 'gptq', 'quant_method': 'gptq'},
    'GPTQModel': {**JUNE_2023, 'format': 'gptq', 'method': 'gptq', 'lm_head': False, 'meta': {}, 'dynamic': None},
    'synonyms': {'w_bit': 4, 'q_group_size': 128},
}


def write(folder, name, value):
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


@pytest.mark.parametrize('year', YEARS)
def test_reads_every_year(tmp_path, year):
    config = read_quantize_config(write(tmp_path, 'quantize_config.json', YEARS[year]))
    assert (config.bits, config.group_size, config.desc_act, config.sym) == (4, 128, False, True)
    assert config.checkpoint_format == 'gptq'
    assert config.model_file_base_name == YEARS[year].get('model_file_base_name')
    assert config.sources['bits'] == 'quantize_config.json'


def test_absent_fields_are_marked_as_defaults(tmp_path):
    config = read_quantize_config(write(tmp_path, 'quantize_config.json', {'bits': 3, 'group_size': -1}))
    assert (config.desc_act, config.sym, config.checkpoint_format) == (False, True, 'gptq')
    assert config.sources['sym'] == config.sources['desc_act'] == 'default'


@pytest.mark.parametrize('key', ['format', 'checkpoint_format'])
def test_v2_under_both_names(tmp_path, key):
    write(tmp_path, 'quantize_config.json', {**JUNE_2023, key: 'gptq_v2'})
    assert read_quantize_config(tmp_path).checkpoint_format == 'gptq_v2'


def test_search_order(tmp_path):
    claims = {**JUNE_2023, 'quant_method': 'gptq'}
    write(tmp_path, 'config.json', {'quantization_config': {**claims, 'bits': 8}})
    assert read_quantize_config(tmp_path).bits == 8
    write(tmp_path, 'quant_config.json', {**claims, 'bits': 3})
    assert read_quantize_config(tmp_path).bits == 3
    write(tmp_path, 'quantize_config.json', {**claims, 'bits': 2})
    assert read_quantize_config(tmp_path).bits == 2


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'bits': '4'}, ['bits', "'4'", 'int']),
        ({'bits': True}, ['bits', 'True']),
        ({'bits': 5}, ['bits', '5', '2, 3, 4']),
        ({'bits': 0}, ['bits', '0']),
        ({'group_size': 0}, ['group_size', '0']),
        ({'group_size': -2}, ['group_size', '-2']),
        ({'group_size': 128.0}, ['group_size', '128.0']),
        ({'desc_act': 'false'}, ['desc_act', "'false'", 'bool']),
        ({'checkpoint_format': 2}, ['checkpoint_format', '2']),
        ({'checkpoint_format': 'gptq_v3'}, ['gptq_v3', 'gptq, gptq_v2']),
        ({'quant_method': 'nonsense'}, ['quant_method is nonsense', 'use another one']),
    ],
)
def test_senseless_claims_are_named(tmp_path, change, words):
    write(tmp_path, 'quantize_config.json', {**JUNE_2023, **change})
    with pytest.raises(GPTQError) as e:
        read_quantize_config(tmp_path)
    for word in ['quantize_config.json', *words]:
        assert word in str(e.value)
    assert '\n' not in str(e.value)


@pytest.mark.parametrize('content', ['{"bits": 4,', '[4, 128]', '"gptq"', ''])
def test_broken_json_is_named(tmp_path, content):
    write(tmp_path, 'quantize_config.json', content)
    with pytest.raises(GPTQError, match=r'quantize_config\.json .*download it again'):
        read_quantize_config(tmp_path)


def test_binary_and_deep_json_are_named(tmp_path):
    (tmp_path / 'a.json').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(GPTQError, match='cannot be read'):
        read_json(tmp_path / 'a.json')
    (tmp_path / 'b.json').write_text('[' * 200_000)
    with pytest.raises(GPTQError, match='not valid JSON'):
        read_json(tmp_path / 'b.json')


def test_byte_order_mark_is_no_fault(tmp_path):
    """Windows editors put one in front of a file that a person corrected by hand."""
    (tmp_path / 'quantize_config.json').write_bytes(b'\xef\xbb\xbf' + json.dumps(JUNE_2023).encode())
    assert read_quantize_config(tmp_path).bits == 4


@pytest.mark.parametrize('method', OTHER_METHODS)
@pytest.mark.parametrize('key', ['quant_method', 'method', 'checkpoint_format', 'format'])
def test_other_methods_are_refused_by_name(tmp_path, method, key):
    claims = JUNE_2023 | {key: method.upper()}
    write(tmp_path, 'config.json', {'quantization_config': claims})
    assert not is_gptq_folder(tmp_path)
    with pytest.raises(GPTQError) as e:
        read_quantize_config(tmp_path)
    name, reader = OTHER_METHODS[method]
    assert str(e.value).startswith('config.json says that this is ') and method in str(e.value).lower()
    assert name in str(e.value) and str(e.value).endswith(f'load it with {reader}.')


@pytest.mark.parametrize(
    ('claims', 'name'),
    [
        ({**JUNE_2023, 'is_marlin_format': True}, 'Marlin'),
        ({'zero_point': True, 'q_group_size': 128, 'w_bit': 4, 'version': 'GEMM'}, 'AWQ'),  # AutoAWQ names no method
        ({'load_in_4bit': True, 'bnb_4bit_quant_type': 'nf4'}, 'bitsandbytes'),
    ],
)
def test_methods_that_go_without_a_name(tmp_path, claims, name):
    write(tmp_path, 'quant_config.json', claims)
    assert not is_gptq_folder(tmp_path)
    with pytest.raises(GPTQError, match=f'quant_config.json says that this is .*{name}'):
        read_quantize_config(tmp_path)


@pytest.mark.parametrize('folder', [{}, {'config.json': {'model_type': 'llama'}}])
def test_no_config_is_no_claim(tmp_path, folder):
    for name, value in folder.items():
        write(tmp_path, name, value)
    config = read_quantize_config(tmp_path)
    assert (config.bits, config.group_size) == (None, None)
    assert set(config.sources.values()) == {'default'}


def test_a_field_that_is_not_there_is_no_claim(tmp_path):
    write(tmp_path, 'quantize_config.json', {**JUNE_2023, 'bits': None, 'group_size': None})
    config = read_quantize_config(tmp_path)
    assert (config.bits, config.group_size, 'bits' in config.sources) == (None, None, False)


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


def test_parse_names_the_source_it_is_given():
    with pytest.raises(GPTQError, match='the model menu says bits'):
        parse_settings({'bits': 'four', 'group_size': 128}, 'the model menu')


@pytest.mark.parametrize(
    ('files', 'ours'),
    [
        ({'quantize_config.json': JUNE_2023}, True),
        ({'quantize_config.json': '{"bits": 4,'}, True),  # broken, but ours to complain about
        ({'quantize_config.json': {**JUNE_2023, 'quant_method': 'awq'}}, False),
        ({'config.json': {'quantization_config': {'quant_method': 'gptq', 'bits': 4}}}, True),
        ({'config.json': {'quantization_config': {'quant_method': 'bitsandbytes'}}}, False),
        ({'config.json': {'quantization_config': {'bits': 4}}}, False),
        ({'config.json': {'model_type': 'llama'}}, False),
        ({'config.json': '{'}, False),
        ({}, False),
    ],
)
def test_is_gptq_folder(tmp_path, files, ours):
    for name, value in files.items():
        write(tmp_path, name, value)
    assert is_gptq_folder(tmp_path) is ours


def test_is_gptq_folder_of_no_folder(tmp_path):
    assert is_gptq_folder(tmp_path / 'absent') is False
    assert is_gptq_folder(write(tmp_path, 'quantize_config.json', JUNE_2023) / 'quantize_config.json') is False
