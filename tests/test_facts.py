"""What `inspect` and the panel say of a folder before it is loaded."""

import pytest
from airoboros_gptq.core.facts import as_text, read_facts
from airoboros_gptq.core.sizes import format_bytes
from support import ACT_ORDER, PLAIN, TINY, copy_tiny, edit_json


def lines(facts):
    return {f.name: (f.value, f.source) for f in facts.lines}


def test_the_tiny_model():
    facts = read_facts(TINY)
    assert lines(facts) == {
        'architecture': ('LlamaForCausalLM', 'config.json'),
        'bits': ('4', 'quantize_config.json'),
        'group size': ('128', 'quantize_config.json'),
        'act-order': ('no', f'g_idx in {PLAIN}'),
        'symmetric': ('yes', 'quantize_config.json'),
        'checkpoint': (PLAIN, 'its act-order is as desc_act says in quantize_config.json'),
        'size': ('2.48 MB', 'the file'),
        'context length': ('2048', 'max_position_embeddings in config.json'),
    }
    assert (facts.context, facts.airoboros, facts.candidates) == (2048, True, [ACT_ORDER, PLAIN])


def test_a_config_that_lies_is_told(tmp_path):
    folder = copy_tiny(tmp_path / 'some-llama', ACT_ORDER)
    facts = read_facts(folder)
    assert lines(facts)['act-order'] == ('yes', f'g_idx in {ACT_ORDER} (quantize_config.json says no)')
    assert not facts.airoboros


def test_a_file_named_by_the_user():
    assert lines(read_facts(TINY, ACT_ORDER))['checkpoint'] == (ACT_ORDER, 'named by the user')


def test_without_config_json(tiny_copy):
    (tiny_copy / 'config.json').unlink()
    facts = read_facts(tiny_copy)
    assert facts.context is None
    assert lines(facts)['architecture'][0] == 'unknown'
    assert lines(facts)['context length'] == ('unknown', 'nothing in config.json')


def test_a_renamed_airoboros_is_known_by_its_config(tmp_path):
    folder = copy_tiny(tmp_path / 'model', PLAIN)
    edit_json(folder / 'config.json', _name_or_path='jondurbin/airoboros-7b-gpt4-1.2')
    assert read_facts(folder).airoboros


def test_text_is_aligned():
    rows = as_text(read_facts(TINY)).splitlines()
    assert len(rows) == 8
    assert len({row.index(f.value, 14) for row, f in zip(rows, read_facts(TINY).lines, strict=True)}) == 1


@pytest.mark.parametrize(
    ('count', 'text'),
    [(0, '0 B'), (999, '999 B'), (1500, '1.50 kB'), (2_481_784, '2.48 MB'), (4_519_900_000, '4.52 GB')],
)
def test_format_bytes(count, text):
    assert format_bytes(count) == text
