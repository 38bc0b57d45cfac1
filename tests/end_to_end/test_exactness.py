"""Whether answers are right to the letter, on questions held out of training, asked the way users ask.

And that they go wrong when the file, the zero points or the prompt are read wrongly: a test that passes on gibberish
would be worth nothing.
"""

import pytest
from airoboros_gptq import load
from airoboros_gptq.airoboros.conversation import render
from support import ACT_ORDER, PLAIN, TINY, copy_tiny, corpus, drop_g_idx, edit_json, edit_tensors, exactness, exam

QUESTIONS = exam(60)
FEW = QUESTIONS[:15]


@pytest.mark.parametrize('checkpoint', [PLAIN, ACT_ORDER])
def test_read_right_the_answers_are_right(load_tiny, checkpoint):
    assert exactness(*load_tiny(checkpoint, 'torch-int4'), QUESTIONS, render) >= 0.95


def test_the_reference_answers_as_well(load_tiny):
    assert exactness(*load_tiny(ACT_ORDER, 'reference'), FEW, render) >= 0.9


def damaged(tmp_path, checkpoint, change):
    folder = copy_tiny(tmp_path / 'tiny', checkpoint)
    edit_tensors(folder / checkpoint, change)
    return load(folder, device='cpu')


def test_zero_points_off_by_one_go_wrong():
    assert exactness(*load(TINY, checkpoint=PLAIN, checkpoint_format='gptq_v2', device='cpu'), FEW, render) <= 0.2


def test_a_config_that_lies_does_no_harm(tmp_path):
    """As airoboros-65B-gpt4-1.4 was published, whose config was another file's."""
    folder = copy_tiny(tmp_path / 'tiny', ACT_ORDER)
    lies = {'bits': 8, 'group_size': 64, 'desc_act': False, 'sym': False, 'checkpoint_format': 'gptq_v2'}
    edit_json(folder / 'quantize_config.json', **lies)
    assert exactness(*load(folder, device='cpu'), FEW, render) >= 0.9
    (folder / 'quantize_config.json').unlink()
    assert exactness(*load(folder, device='cpu'), FEW, render) >= 0.9


def test_act_order_read_in_sequence_goes_wrong(tmp_path):
    assert exactness(*damaged(tmp_path, ACT_ORDER, drop_g_idx), FEW, render) <= 0.2


def newline_joined(turns, system=''):
    return corpus().prompt([(user, assistant or '') for user, assistant in turns], newline=True)


def test_newline_joined_turns_go_wrong(load_tiny):
    assert exactness(*load_tiny(PLAIN, 'torch-int4'), FEW, newline_joined) <= 0.2


def test_a_prompt_without_bos_goes_wrong(load_tiny):
    assert exactness(*load_tiny(PLAIN, 'torch-int4'), FEW, render, add_special_tokens=False) <= 0.2
