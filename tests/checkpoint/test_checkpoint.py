"""Which file of a folder is loaded, and why."""

import json
import struct

import pytest
from airoboros_gptq.checkpoint.checkpoint import choose_checkpoint, open_checkpoint
from airoboros_gptq.checkpoint.quantize_config import QuantizeConfig
from airoboros_gptq.checkpoint.weight_files import list_checkpoints
from airoboros_gptq.errors import GPTQError
from support import ACT_ORDER, PLAIN, TINY, write_checkpoint, write_safetensors

SEQUENTIAL, ACT = (0, 0, 1, 1), (1, 0, 0, 1)


def config(desc_act=False, base_name=None):
    names = ('desc_act', 'model_file_base_name')
    return QuantizeConfig(4, 128, desc_act, model_file_base_name=base_name, sources=dict.fromkeys(names, 'it.json'))


@pytest.fixture
def both(tmp_path):
    write_checkpoint(tmp_path / 'm-4bit.act.order.safetensors', ACT)
    write_checkpoint(tmp_path / 'm-4bit.no-act-order.safetensors', SEQUENTIAL)
    return tmp_path


@pytest.mark.parametrize(('desc_act', 'name'), [(False, PLAIN), (True, ACT_ORDER)])
def test_the_card_s_folder_with_two_files(desc_act, name):
    chosen = choose_checkpoint(TINY, config(desc_act))
    assert (chosen.name, chosen.desc_act) == (name, desc_act)
    assert 'desc_act says in it.json' in chosen.reason
    assert len(chosen.quantized_modules()) == 35
    assert chosen.size == (TINY / name).stat().st_size


def test_the_user_s_word_comes_first(both):
    chosen = choose_checkpoint(both, config(True, 'm-4bit.act.order'), 'm-4bit.no-act-order')
    assert (chosen.name, chosen.reason) == ('m-4bit.no-act-order.safetensors', 'named by the user')


def test_then_the_config_s(both):
    chosen = choose_checkpoint(both, config(True, 'm-4bit.no-act-order'))
    assert chosen.name == 'm-4bit.no-act-order.safetensors'
    assert chosen.reason == 'model_file_base_name in it.json'


def test_a_stale_base_name_is_passed_over(both):
    assert choose_checkpoint(both, config(True, 'gptq_model-4bit-128g')).name == 'm-4bit.act.order.safetensors'


def test_the_only_file_is_taken_whatever_the_config_claims(tmp_path):
    write_checkpoint(tmp_path / 'odd name.safetensors', ACT)
    chosen = choose_checkpoint(tmp_path, config(False))
    assert (chosen.name, chosen.desc_act, chosen.reason) == (
        'odd name.safetensors',
        True,
        'the only checkpoint in the folder',
    )


def test_act_order_is_read_off_the_tensors_not_the_name(tmp_path):
    write_checkpoint(tmp_path / 'a.act.order.safetensors', SEQUENTIAL)
    write_checkpoint(tmp_path / 'b.no-act-order.safetensors', ACT)
    assert choose_checkpoint(tmp_path, config(True)).name == 'b.no-act-order.safetensors'


def test_an_unquantised_neighbour_is_not_a_candidate(tmp_path):
    write_checkpoint(tmp_path / 'lora.safetensors', SEQUENTIAL, qweight=False)
    write_checkpoint(tmp_path / 'model.safetensors', SEQUENTIAL)
    assert choose_checkpoint(tmp_path, config(False)).name == 'model.safetensors'


def test_undecided_lists_the_candidates(both):
    write_checkpoint(both / 'third.safetensors', SEQUENTIAL)
    with pytest.raises(GPTQError) as e:
        choose_checkpoint(both, config(False))
    assert '3 checkpoints and 2 of them are without act-order' in str(e.value)
    for name in list_checkpoints(both):
        assert name in str(e.value)


def test_a_name_that_is_not_there_lists_the_candidates(both):
    with pytest.raises(GPTQError) as e:
        choose_checkpoint(both, config(), 'model')
    assert 'no checkpoint model' in str(e.value)
    assert 'm-4bit.act.order.safetensors, m-4bit.no-act-order.safetensors' in str(e.value)


def test_no_checkpoint_at_all(tmp_path):
    (tmp_path / 'training_args.bin').write_bytes(b'')
    with pytest.raises(GPTQError, match=r'no \.safetensors file'):
        choose_checkpoint(tmp_path, config())


@pytest.mark.parametrize(
    ('g_idx', 'found'), [((0, 0, 1, 1), False), ((0, 0, 0, 0), False), ((1, 1, 0, 0), True), ((0, 1, 0, 1), True)]
)
def test_act_order_is_a_g_idx_out_of_order(tmp_path, g_idx, found):
    write_checkpoint(tmp_path / 'a.safetensors', g_idx)
    assert open_checkpoint(tmp_path, 'a.safetensors').desc_act is found


def shard(folder, weight_map):
    for i, name in enumerate(sorted(set(weight_map.values()))):
        write_safetensors(folder / name, {f'{m}.qweight': ('I32', (1,), bytes(4)) for m in 'ab'[i]})
    (folder / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': weight_map}))


SHARDS = {'a.qweight': 'model-00001-of-00002.safetensors', 'b.qweight': 'model-00002-of-00002.safetensors'}


def test_shards_are_one_checkpoint(tmp_path):
    shard(tmp_path, SHARDS)
    assert list_checkpoints(tmp_path) == ['model.safetensors.index.json']
    chosen = choose_checkpoint(tmp_path, config())
    assert sorted(chosen.quantized_modules()) == ['a', 'b']
    assert chosen.size == sum((tmp_path / name).stat().st_size for name in SHARDS.values())


def test_act_order_in_a_later_shard_counts(tmp_path):
    shard(tmp_path, SHARDS)
    write_safetensors(tmp_path / SHARDS['b.qweight'], {'b.g_idx': ('I32', (4,), struct.pack('<4i', *ACT))})
    assert open_checkpoint(tmp_path, 'model.safetensors.index.json').desc_act is True


def test_shards_that_hold_the_same_tensor_are_not_of_one_model(tmp_path):
    shard(tmp_path, SHARDS)
    write_checkpoint(tmp_path / SHARDS['b.qweight'])
    with pytest.raises(GPTQError, match=r'-00001-of-00002\.safetensors both hold a\.\w+: .*download them again'):
        open_checkpoint(tmp_path, 'model.safetensors.index.json')


def test_a_missing_shard_is_named(tmp_path):
    shard(tmp_path, SHARDS)
    (tmp_path / SHARDS['b.qweight']).unlink()
    with pytest.raises(GPTQError, match=r'model-00002-of-00002\.safetensors is missing.*download it'):
        choose_checkpoint(tmp_path, config())


def test_a_stale_index_is_passed_over(tmp_path):
    """Quantisers copy the index of the model that they started from."""
    shard(tmp_path, SHARDS)
    for name in SHARDS.values():
        (tmp_path / name).unlink()
    write_checkpoint(tmp_path / 'gptq_model-4bit-128g.safetensors')
    assert list_checkpoints(tmp_path) == ['gptq_model-4bit-128g.safetensors']


def test_shards_without_an_index_are_one_checkpoint(tmp_path):
    shard(tmp_path, SHARDS)
    (tmp_path / 'model.safetensors.index.json').unlink()
    write_checkpoint(tmp_path / 'other.safetensors')
    first = SHARDS['a.qweight']
    assert list_checkpoints(tmp_path) == [first, 'other.safetensors']
    assert sorted(open_checkpoint(tmp_path, first).quantized_modules()) == ['a', 'b']


@pytest.mark.parametrize('lost', SHARDS)
def test_a_missing_shard_without_an_index_is_named(tmp_path, lost):
    shard(tmp_path, SHARDS)
    (tmp_path / 'model.safetensors.index.json').unlink()
    (tmp_path / SHARDS[lost]).unlink()
    with pytest.raises(GPTQError, match=rf'{SHARDS[lost]} is missing, though .* asks for it; download it'):
        choose_checkpoint(tmp_path, config())


def test_several_missing_shards_are_counted(tmp_path):
    write_checkpoint(tmp_path / 'm-00002-of-00005.safetensors')
    with pytest.raises(GPTQError, match=r'm-00001-of-00005\.safetensors is missing, as are 3 more'):
        choose_checkpoint(tmp_path, config())


def test_two_files_without_a_config_are_the_user_s_to_tell(both):
    with pytest.raises(GPTQError, match=r'2 checkpoints, and no config tells them apart; name one: m-4bit\.act'):
        choose_checkpoint(both, QuantizeConfig())
    assert choose_checkpoint(both, QuantizeConfig(), 'm-4bit.act.order').desc_act


def test_safetensors_come_before_pickles(tmp_path):
    (tmp_path / 'pytorch_model.bin').write_bytes(b'not even looked at')
    write_checkpoint(tmp_path / 'zz.safetensors')
    assert list_checkpoints(tmp_path) == ['zz.safetensors', 'pytorch_model.bin']
    assert choose_checkpoint(tmp_path, config()).name == 'zz.safetensors'
    with pytest.raises(GPTQError, match=r'pytorch_model\.bin is not a file of PyTorch'):
        choose_checkpoint(tmp_path, config(), 'pytorch_model')


@pytest.mark.parametrize('weight_map', [None, {}, [], {'a': 3}, {'a': '../../etc/passwd'}])
def test_a_useless_index_is_named(tmp_path, weight_map):
    (tmp_path / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': weight_map}))
    with pytest.raises(GPTQError, match=r'model\.safetensors\.index\.json'):
        choose_checkpoint(tmp_path, config())
