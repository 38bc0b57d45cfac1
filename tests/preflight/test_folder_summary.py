"""What `inspect` and the panel say of a folder before it is loaded."""

import json

import pytest
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.preflight.folder_summary import as_json, as_text, read_selected, read_summary
from support import ACT_ORDER, PLAIN, TINY, copy_tiny, edit_json, edit_tensors


@pytest.fixture(autouse=True)
def steady_free_memory(monkeypatch):
    """Free memory changes between two readings while other programs run."""
    monkeypatch.setattr('airoboros_gptq.preflight.memory_estimate.free_memory', lambda device: 8_000_000_000)


def lines(summary):
    return {f.name: (f.value, f.source) for f in summary.lines}


def notes(summary):
    return [f.value for f in summary.lines if f.name == 'note']


def test_the_tiny_model(no_native):
    summary = read_summary(TINY, device='cpu')
    estimated = 'estimated for torch-int4 on cpu'
    assert lines(summary) == {
        'architecture': ('LlamaForCausalLM', 'config.json'),
        'bits': ('4', 'the shapes of 35 linears, as quantize_config.json says'),
        'group size': ('128', 'the shapes of 35 linears, as quantize_config.json says'),
        'act-order': ('no', 'g_idx, as quantize_config.json says'),
        'format': ('gptq', 'its zeros are those of a symmetric v1 file'),
        'symmetric': ('yes', 'the zeros, as quantize_config.json says'),
        'checkpoint': (PLAIN, 'its act-order is as desc_act says in quantize_config.json'),
        'size': ('3.62 MB', 'the file'),
        'context length': ('2048', 'max_position_embeddings in config.json'),
        'weights': ('3.61 MB', estimated),
        'cache at 2048': ('10.49 MB', 'config.json, in bfloat16'),
        'total': ('14.09 MB', estimated),
        'fits': ('yes, 8.00 GB free', 'RAM that is free now'),
        'prompt format': ('Airoboros-v1.2', "version 1.2, from the folder's name"),
    }
    assert (summary.context_length, summary.airoboros.version, summary.candidates) == (2048, '1.2', [ACT_ORDER, PLAIN])


def test_a_config_that_lies_is_told(tmp_path):
    folder = copy_tiny(tmp_path / 'some-llama', ACT_ORDER)
    summary = read_summary(folder)
    assert lines(summary)['act-order'] == ('yes', 'g_idx')
    assert notes(summary) == ['quantize_config.json says desc_act is False; the tensors have True, and that is used.']
    assert summary.airoboros is None


LIES = {
    'bits': (8, '4'),
    'group_size': (64, '128'),
    'desc_act': (True, 'False'),
    'sym': (False, 'True'),
    'checkpoint_format': ('gptq_v2', 'gptq'),
}


@pytest.mark.parametrize('field', LIES)
def test_each_lie_is_a_note(tiny_copy, field):
    claim, so = LIES[field]
    edit_json(tiny_copy / 'quantize_config.json', **{field: claim})
    told = notes(read_summary(tiny_copy))
    assert told == [f'quantize_config.json says {field} is {claim}; the tensors have {so}, and that is used.']


def test_one_group_is_claimed_as_minus_1(tiny_copy):
    """-1 is no lie where each linear has one group, and is one where they have more."""
    edit_json(tiny_copy / 'quantize_config.json', group_size=-1)
    assert 'group_size is -1; the tensors have 128' in notes(read_summary(tiny_copy))[0]
    edit_tensors(tiny_copy / PLAIN, to_one_group)
    assert notes(read_summary(tiny_copy)) == []


def to_one_group(tensors):
    for name in list(tensors):
        if name.endswith(('.qzeros', '.scales')):
            tensors[name] = tensors[name][:1]
        elif name.endswith('.g_idx'):
            tensors[name] = tensors[name] * 0


def test_without_any_config(tiny_copy):
    told = lines(read_summary(tiny_copy))
    (tiny_copy / 'quantize_config.json').unlink()
    without = lines(read_summary(tiny_copy))
    assert {name: value for name, (value, _) in without.items()} == {name: value for name, (value, _) in told.items()}
    assert without['bits'] == ('4', 'the shapes of 35 linears') and 'note' not in told


def test_two_configs_that_disagree(tiny_copy):
    claims = {'w_bit': 8, 'group_size': 128, 'desc_act': True}
    edit_json(tiny_copy / 'config.json', quantization_config={**claims, 'quant_method': 'gptq'})
    (tiny_copy / 'quant_config.json').write_text(json.dumps({'bits': 4, 'q_group_size': 32}))
    assert notes(read_summary(tiny_copy)) == [
        'quant_config.json says group_size is 32, quantize_config.json says 128; quantize_config.json comes first.',
        'config.json says bits is 8, quantize_config.json says 4; quantize_config.json comes first.',
        'config.json says desc_act is True, quantize_config.json says False; quantize_config.json comes first.',
    ]


def test_a_second_config_that_makes_no_sense_is_a_note(tiny_copy):
    (tiny_copy / 'quant_config.json').write_text(json.dumps({'bits': 5}))
    assert 'quant_config.json says bits is 5' in notes(read_summary(tiny_copy))[0]
    (tiny_copy / 'quant_config.json').write_text('{')
    assert 'quant_config.json is not valid JSON' in notes(read_summary(tiny_copy))[0]


def test_the_user_s_format_is_final():
    summary = read_summary(TINY, checkpoint_format='gptq_v2')
    assert lines(summary)['format'] == ('gptq_v2', 'named by the user')


def test_a_file_named_by_the_user():
    assert lines(read_summary(TINY, ACT_ORDER))['checkpoint'] == (ACT_ORDER, 'named by the user')


def test_without_config_json(tiny_copy):
    (tiny_copy / 'config.json').unlink()
    summary = read_summary(tiny_copy)
    assert summary.context_length is None
    assert lines(summary)['architecture'][0] == 'unknown'
    assert lines(summary)['context length'] == ('unknown', 'nothing in config.json')


@pytest.mark.parametrize('senseless', [3, 'Llama', {'a': 1}, []])
def test_architectures_that_make_no_sense(tiny_copy, senseless):
    edit_json(tiny_copy / 'config.json', architectures=senseless)
    assert lines(read_summary(tiny_copy))['architecture'][0] == 'unknown'


def test_a_renamed_airoboros_is_known_by_its_config(tmp_path):
    folder = copy_tiny(tmp_path / 'model', PLAIN)
    edit_json(folder / 'config.json', _name_or_path='jondurbin/airoboros-7b-gpt4-1.2')
    assert read_summary(folder).airoboros is not None


def test_text_is_aligned():
    summary = read_summary(TINY)
    rows = as_text(summary).splitlines()
    assert len(rows) >= 9
    assert len({row.index(line.value, 14) for row, line in zip(rows, summary.lines, strict=True)}) == 1


def test_json_has_the_lines_and_the_numbers(no_native):
    summary = read_summary(TINY, context=100, device='cpu')
    told = json.loads(json.dumps(as_json(summary)))
    assert [tuple(line.values()) for line in told['facts']] == [(f.name, f.value, f.source) for f in summary.lines]
    assert (told['bits'], told['group_size'], told['linears'], told['desc_act']) == ([4], [128], 35, False)
    assert (told['checkpoint'], told['checkpoints'], told['prompt_format']) == (
        PLAIN,
        [ACT_ORDER, PLAIN],
        'Airoboros-v1.2',
    )
    need = told['memory']
    assert need['cache'] == 2 * 5 * 256 * 100 * 2  # keys and values, layers, width, tokens, bytes
    assert need['total'] == need['weights'] + need['cache']
    assert (need['context'], need['device'], need['kernels'], need['dtype']) == (100, 'cpu', ['torch-int4'], 'bfloat16')


def test_a_menu_can_name_the_whole_one_of_two_checkpoints(tmp_path):
    """The other one was cut short, and it is what no name at all means."""
    folder = copy_tiny(tmp_path / 'airoboros', ACT_ORDER, PLAIN)
    (folder / PLAIN).write_bytes((TINY / PLAIN).read_bytes()[:1_000_000])
    with pytest.raises(GPTQError, match='the download was interrupted'):
        read_selected(folder, '', 'auto')
    assert read_selected(folder, ACT_ORDER, 'auto').checkpoint.name == ACT_ORDER
