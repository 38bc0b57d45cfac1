"""What a folder says of its quantisation, over the years and where it is broken."""

import json

import pytest
from airoboros_gptq.checkpoint.quantize_config import is_gptq_folder, parse_settings, read_quantize_config
from airoboros_gptq.errors import GPTQError
from support import edit_json

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


def test_byte_order_mark_is_no_fault(tmp_path):
    """Windows editors put one in front of a file that a person corrected by hand."""
    (tmp_path / 'quantize_config.json').write_bytes(b'\xef\xbb\xbf' + json.dumps(JUNE_2023).encode())
    assert read_quantize_config(tmp_path).bits == 4


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


AUTO_ROUND = {
    'auto-round': {'packing_format': 'auto_round:auto_gptq'},
    'intel/auto-round': {'backend': 'auto_round:gptq:exllamav2'},
    'auto_round': {'packing_format': 'auto_round:auto_gptqmodel'},
}


@pytest.mark.parametrize('method', AUTO_ROUND)
def test_auto_round_packs_as_gptq_does(tiny_copy, method):
    """Folders of intel/auto-round#235 and sglang#10153."""
    claims = {'bits': 4, 'group_size': 128, 'sym': True, 'quant_method': method, 'autoround_version': '0.5.1'}
    (tiny_copy / 'quantize_config.json').unlink()
    edit_json(tiny_copy / 'config.json', quantization_config=claims | AUTO_ROUND[method])
    assert is_gptq_folder(tiny_copy)
    config = read_quantize_config(tiny_copy)
    assert (config.bits, config.quant_method, config.notes) == (4, 'gptq', ())
    assert config.checkpoint_format == ('gptq_v2' if 'gptqmodel' in str(AUTO_ROUND[method]) else 'gptq')


def test_auto_round_as_awq_is_refused_by_name(tmp_path):
    (tmp_path / 'quantize_config.json').write_text(
        json.dumps({'bits': 4, 'quant_method': 'auto-round', 'packing_format': 'auto_round:auto_awq'})
    )
    assert not is_gptq_folder(tmp_path)
    with pytest.raises(GPTQError, match='says quant_method is auto-round'):
        read_quantize_config(tmp_path)


@pytest.mark.parametrize('claim', [{'quant_method': 'awq'}, {'is_marlin_format': True}, {'quant_method': 'tomorrow'}])
def test_a_method_that_the_tensors_refute_is_a_note(tiny_copy, claim):
    edit_json(tiny_copy / 'quantize_config.json', **claim)
    assert is_gptq_folder(tiny_copy)
    (note,) = read_quantize_config(tiny_copy).notes
    assert "; the tensors are GPTQ's, and that is used." in note
