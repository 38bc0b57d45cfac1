"""The cache outlives the turn: only what changed is computed, and the logits are those of computing all of it."""

import copy
import gc
import threading
import weakref

import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.generation import prompt_cache
from airoboros_gptq.generation.kv_cache import cache_name
from hypothesis import given, settings
from hypothesis import strategies as st
from support import PLAIN, TINY
from transformers import DynamicCache, GenerationMixin, StoppingCriteriaList
from turn_support import After, Rows, tokens


def fresh_model():
    return load(TINY, checkpoint=PLAIN, kernel='reference', device='cpu', progress=lambda done, total: None)[0]


@pytest.fixture(scope='module')
def loaded():
    return Rows(fresh_model())


@pytest.fixture
def rows(loaded):
    loaded.model.gptq.prompt_cache.clear()
    return loaded


def grown(out, count):
    """A next prompt: all that was said, and a new message."""
    return torch.cat((out, tokens(count)), dim=1)


def test_a_second_turn_computes_what_is_new(rows):
    out, first = rows.check(tokens(50))
    _, second = rows.check(grown(out, 7))
    assert (first, second) == (50, 8)  # and the last token of the answer, which was sampled and not yet read


def test_a_regenerate_computes_one_token(rows):
    prompt = tokens(40)
    rows.check(prompt)
    assert rows.check(prompt)[1] == 1


def test_continue_goes_on(rows):
    out, _ = rows.check(tokens(40))
    assert rows.check(out)[1] == 1


@pytest.mark.parametrize('at', [1, 20, 39])
def test_an_edit_computes_from_the_edit(rows, at):
    prompt = tokens(40)
    rows.check(prompt)
    edited = prompt.clone()
    edited[0, at] = (edited[0, at] + 1) % 900 + 3
    # A cache that shares less than half is not worth taking from the other conversation.
    assert rows.check(edited)[1] == {1: 40, 20: 40, 39: 1}[at]
    assert rows.check(prompt)[1] == {1: 1, 20: 1, 39: 1}[at]


def test_an_edit_in_the_second_half_reuses_the_first(rows):
    prompt = tokens(40)
    rows.check(prompt)
    edited = prompt.clone()
    edited[0, 30] = (edited[0, 30] + 1) % 900 + 3
    assert rows.check(edited)[1] == 10


def test_caches_make_room_when_memory_runs_out(rows, monkeypatch):
    rows.check(tokens(40))
    assert len(rows.model.gptq.prompt_cache) == 1

    def fail(x):
        raise torch.OutOfMemoryError('no memory left')

    with monkeypatch.context() as patch:
        patch.setattr(rows.model.model.layers[0].mlp, 'forward', fail)
        with pytest.raises(torch.OutOfMemoryError):
            rows.of(tokens(50))
    assert len(rows.model.gptq.prompt_cache) == 0
    rows.check(tokens(20))


def test_a_prompt_cut_at_its_front_is_computed_whole(rows):
    out, _ = rows.check(tokens(60))
    cut = out[:, 10:]
    assert rows.check(cut)[1] >= cut.shape[1] - 3


def test_a_shorter_prompt_than_what_is_kept(rows):
    prompt = tokens(60)
    rows.check(prompt)
    assert rows.check(prompt[:, :40])[1] == 1


@pytest.mark.parametrize('error', [None, RuntimeError('a browser went away'), KeyboardInterrupt()])
@pytest.mark.parametrize('count', [1, 3])
def test_however_it_ended_the_next_is_right(rows, error, count):
    prompt = tokens(30)
    stop = StoppingCriteriaList([After(count, error)])
    if error is None:
        rows.of(prompt, stopping_criteria=stop)
    else:
        with pytest.raises(type(error)):
            rows.of(prompt, stopping_criteria=stop)
    assert rows.check(prompt)[1] == 1
    assert rows.check(grown(prompt, 5))[1] == 5


@pytest.mark.parametrize('layer', range(5))
@pytest.mark.parametrize('step', [0, 2])
def test_a_failure_in_the_middle_of_a_pass_leaves_no_layer_ahead(rows, monkeypatch, layer, step):
    prompt = tokens(30)
    broken = rows.model.model.layers[layer].mlp
    calls, real = [], broken.forward

    def fail(x):
        calls.append(1)
        if len(calls) > step:
            raise torch.OutOfMemoryError('no memory left') if step else RuntimeError('no luck')
        return real(x)

    with monkeypatch.context() as patch:
        patch.setattr(broken, 'forward', fail)
        with pytest.raises(RuntimeError):
            rows.of(prompt)
    rows.check(prompt)
    rows.check(grown(prompt, 4))


def test_chats_take_turns_and_never_see_each_other(rows):
    system = tokens(40)
    chats = [grown(system, 45), grown(system, 40), tokens(44)]
    for turn in range(3):
        for i, prompt in enumerate(chats):
            out, computed = rows.check(prompt)
            if turn:
                assert computed == 6  # five new ones, and the last of the answer
            chats[i] = grown(out, 5)


def test_chats_under_one_system_prompt_share_it(rows):
    system = tokens(40)
    rows.check(grown(system, 60))
    assert rows.check(grown(system, 8))[1] == 8


def test_two_threads_at_once(loaded):
    """Only results are compared: the order of rows is up to the threads."""
    model = fresh_model()
    prompt = tokens(30)
    model.generate(prompt, max_new_tokens=3, do_sample=False)
    prompts = [grown(prompt, n) for n in (3, 5, 9, 11)]
    plain = {'max_new_tokens': 12, 'do_sample': False, 'eos_token_id': None}
    right = [GenerationMixin.generate(model, p, **plain) for p in prompts]
    found, start = {}, threading.Barrier(len(prompts))

    def ask(i):
        start.wait()
        found[i] = [model.generate(prompts[i], **plain) for _ in range(3)]

    workers = [threading.Thread(target=ask, args=(i,)) for i in range(len(prompts))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(out.equal(right[i]) for i, outs in found.items() for out in outs)
    assert len(found) == len(prompts)


def test_classifier_free_guidance_keeps_its_own_cache(rows):
    prompt, against = tokens(30), tokens(9)
    settings = {'guidance_scale': 1.5, 'negative_prompt_ids': against}
    out, _ = rows.check(prompt, **settings)
    assert rows.check(grown(out, 4), **settings)[1] == 5
    assert rows.check(grown(out, 4))[1] <= 5


def test_sampling_draws_the_same_tokens(rows):
    prompt = tokens(30)
    settings = {'do_sample': True, 'temperature': 2.0, 'top_k': 50, 'max_new_tokens': 20}
    answers = []
    for generate in (rows.of, rows.of, rows.afresh):
        torch.manual_seed(7)
        answers.append(generate(prompt, **settings)[0])
    assert answers[0].equal(answers[1]) and answers[0].equal(answers[2])


@pytest.mark.parametrize(
    'special',
    [
        {'num_beams': 2},
        {'do_sample': True, 'num_return_sequences': 2, 'top_k': 1},
        {'prompt_lookup_num_tokens': 3},
        {'use_cache': False},
        {'cache_implementation': 'static'},
    ],
    ids=str,
)
def test_what_is_not_one_plain_sequence_goes_to_transformers(rows, special):
    prompt = tokens(30)
    settings = {'max_new_tokens': 5, 'do_sample': False, 'eos_token_id': None, 'pad_token_id': 0} | special
    mask = torch.ones_like(prompt)
    out = rows.model.generate(prompt, attention_mask=mask, **settings)
    assert out.equal(GenerationMixin.generate(rows.model, prompt, attention_mask=mask, **settings))
    assert len(rows.model.gptq.prompt_cache) == 0


def test_batches_padding_and_embeddings_go_to_transformers(rows):
    model, two = rows.model, torch.cat((tokens(12), tokens(12)))
    settings = {'max_new_tokens': 4, 'do_sample': False, 'pad_token_id': 0, 'eos_token_id': None}
    mask = torch.ones_like(two)
    mask[1, :4] = 0
    padded = {'attention_mask': mask[1:], 'input_ids': two[1:]}
    embedded = {'inputs_embeds': model.get_input_embeddings()(two[:1]), 'attention_mask': mask[:1]}
    for inputs in ({'input_ids': two, 'attention_mask': mask}, padded, embedded):
        assert model.generate(**inputs, **settings).equal(GenerationMixin.generate(model, **inputs, **settings))
    model.generate(
        two[:1], return_dict_in_generate=True, **settings
    )  # its cache is the caller's, to do with as they like
    assert len(model.gptq.prompt_cache) == 0


@pytest.mark.filterwarnings('ignore:.past_key_values. is deprecated')
def test_a_cache_of_the_callers_own_stays_the_callers(rows):
    prompt = tokens(20)
    settings = {'max_new_tokens': 4, 'do_sample': False, 'pad_token_id': 0, 'eos_token_id': None}
    right = GenerationMixin.generate(rows.model, prompt, **settings)
    for name in {'past_key_values', cache_name(type(rows.model))}:
        own = DynamicCache()
        assert rows.model.generate(prompt, **{name: own}, **settings).equal(right)
        assert own.get_seq_length() == 23
    assert len(rows.model.gptq.prompt_cache) == 0


@pytest.mark.filterwarnings('error')
def test_generate_emits_no_warnings(rows):
    rows.of(tokens(5))


def test_cache_survives_inference_mode_and_no_grad(rows):
    prompt = tokens(30)
    with torch.inference_mode():
        out, _ = rows.check(prompt)
    with torch.no_grad():
        out, computed = rows.check(grown(out, 4))
    assert computed == 5
    with torch.inference_mode():
        assert rows.check(grown(out, 300))[1] == 301


def test_changed_weights_are_never_answered_from_the_old_ones():
    rows = Rows(fresh_model())
    prompt = tokens(30)
    rows.check(prompt)
    norm = rows.model.model.layers[1].input_layernorm.weight
    norm.mul_(1.5)
    assert rows.check(prompt)[1] == 30
    assert rows.check(prompt)[1] == 1
    rows.model.model.layers[2].register_forward_hook(lambda module, args, out: out)
    assert rows.check(prompt)[1] == 30


def test_memory_is_bounded_by_one_context(rows, monkeypatch):
    kept = rows.model.gptq.prompt_cache
    assert kept._max_tokens == 2048
    for _ in range(2 * prompt_cache.SLOTS):
        rows.of(tokens(20), max_new_tokens=2)
    assert len(kept) == prompt_cache.SLOTS
    monkeypatch.setattr(kept, '_max_tokens', 100)
    rows.of(tokens(90), max_new_tokens=2)
    assert [len(slot.ids) for slot in kept._slots] == [91]
    rows.of(tokens(120), max_new_tokens=2)
    assert [len(slot.ids) for slot in kept._slots] == [121]


def test_a_model_let_go_is_gone_with_its_caches():
    gc.collect()
    gc.disable()
    try:
        model = fresh_model()
        model.generate(tokens(300), max_new_tokens=3, do_sample=False)
        held = [weakref.ref(model), weakref.ref(model.gptq.prompt_cache._slots[0].cache)]
        del model
        assert [ref() for ref in held] == [None, None]  # at once: nothing waits for the garbage collector
    finally:
        gc.enable()


def test_a_copy_of_a_model_generates_with_its_own_weights(rows):
    prompt = tokens(20)
    rows.of(prompt)
    other = copy.deepcopy(rows.model)
    other.lm_head.weight.neg_()
    settings = {'max_new_tokens': 4, 'do_sample': False, 'eos_token_id': None}
    out = other.generate(prompt, **settings)
    assert out.equal(GenerationMixin.generate(other, prompt, **settings))
    assert not out.equal(rows.model.generate(prompt, **settings))


OPERATIONS = st.one_of(
    st.tuples(st.just('say'), st.integers(1, 40), st.integers(1, 8)),
    st.tuples(st.just('cut back'), st.integers(1, 60), st.integers(1, 8)),
    st.tuples(st.just('cut front'), st.integers(1, 20), st.integers(1, 8)),
    st.tuples(st.just('edit'), st.integers(0, 80), st.integers(1, 8)),
    st.tuples(st.just('fail'), st.integers(1, 20), st.integers(1, 8)),
)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), OPERATIONS), min_size=3, max_size=9))
def test_any_order_of_chats_edits_and_failures(loaded, operations):
    chats = [tokens(33, seed=chat) for chat in (1, 1, 2)]
    chats[1] = torch.cat((chats[0], tokens(5)), dim=1)
    for chat, (what, size, length) in operations:
        prompt = chats[chat]
        if what == 'say':
            prompt = grown(prompt, size)
        elif what == 'cut back':
            prompt = prompt[:, : max(1, prompt.shape[1] - size)]
        elif what == 'cut front':
            prompt = prompt[:, min(size, prompt.shape[1] - 1) :]
        elif what == 'edit':
            prompt = prompt.clone()
            prompt[0, min(size, prompt.shape[1] - 1)] = 5
        else:
            with pytest.raises(ValueError, match='gone'):
                stop = StoppingCriteriaList([After(length, ValueError('gone'))])
                loaded.of(grown(prompt, size), max_new_tokens=8, stopping_criteria=stop)
        out, _ = loaded.check(prompt, max_new_tokens=length)
        chats[chat] = out
