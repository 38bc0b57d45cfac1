"""Attention of the compiled library within models, against transformers' sdpa."""

import pytest
import torch
import transformers
from airoboros_gptq import load
from airoboros_gptq.generation import cpu_attention
from airoboros_gptq.generation.runtime import attach
from airoboros_gptq.kernels.cpu.attention import attend
from architectures import FOLDERS, NAMES, build
from support import PLAIN, TINY


class Counted:
    """attend(), counting: how often a model's attention was the compiled one."""

    def __init__(self, monkeypatch):
        self.calls = 0
        monkeypatch.setattr(cpu_attention, 'attend', self)

    def __call__(self, *args):
        self.calls += 1
        return attend(*args)


def runs_compiled(model):
    return model.config._attn_implementation == cpu_attention.NAME


def tokens_one_by_one(model, ids, first, second, count):
    """Logits of a text that is read in two turns and gone on with token by token."""
    with torch.inference_mode():
        done = model(ids[:, :first], use_cache=True)
        logits = [done.logits[0]]
        steps = [ids[:, first : first + second], *ids[:, first + second : first + second + count].split(1, 1)]
        for step in steps:
            done = model(step, past_key_values=done.past_key_values, use_cache=True)
            logits.append(done.logits[0])
    return torch.cat(logits)


@pytest.fixture
def tiny():
    model, tokenizer = load(TINY, checkpoint=PLAIN, device='cpu', kernel='reference', dtype=torch.float32)
    if not runs_compiled(model):
        pytest.skip('no compiled kernel here, or a transformers without attention functions')
    return model, tokenizer


@pytest.mark.filterwarnings('ignore::FutureWarning')
@pytest.mark.parametrize('name', NAMES)
def test_models_compute_what_they_compute_with_sdpa(name, monkeypatch):
    """Past the window of those that have one, too."""
    model, counted = build(FOLDERS / name), Counted(monkeypatch)
    attach(model)
    if not runs_compiled(model):
        pytest.skip('it keeps the attention of transformers')
    ids = torch.randint(3, model.config.vocab_size, (1, 60), generator=torch.Generator().manual_seed(1))
    logits = tokens_one_by_one(model, ids, 20, 17, 23)
    dim = getattr(model.config, 'head_dim', None) or model.config.hidden_size // model.config.num_attention_heads
    # Before transformers 5 OPT makes masks of floats, which are sdpa's to read.
    assert counted.calls or dim % 16 or (name == 'opt' and transformers.__version__ < '5')
    model.set_attn_implementation('sdpa')
    right = tokens_one_by_one(model, ids, 20, 17, 23)
    assert (logits - right).norm() < 1e-5 * right.norm()


def test_every_step_of_a_conversation_runs_compiled(tiny, monkeypatch):
    model, counted = tiny[0], Counted(monkeypatch)
    layers = model.config.num_hidden_layers
    ids = torch.randint(3, 200, (1, 40))
    for length in (25, 40):  # the second turn goes on from the first
        counted.calls = 0
        taken = ids[:, :length]
        model.generate(
            taken, attention_mask=torch.ones_like(taken), max_new_tokens=4, min_new_tokens=4, do_sample=False
        )
        assert counted.calls == 4 * layers


def test_padded_batches_go_to_sdpa(tiny, monkeypatch):
    model, counted = tiny[0], Counted(monkeypatch)
    ids, mask = torch.randint(3, 200, (2, 30)), torch.ones(2, 30, dtype=torch.long)
    mask[0, :11] = 0
    one, one_mask = ids[:1], mask[:1]
    for some, some_mask in ((ids, mask), (one, one_mask)):
        settings = {'attention_mask': some_mask, 'max_new_tokens': 8, 'do_sample': False, 'pad_token_id': 0}
        found = model.generate(some, **settings)
        assert counted.calls == 0
        model.set_attn_implementation('sdpa')
        assert torch.equal(model.generate(some, **settings), found)
        model.set_attn_implementation(cpu_attention.NAME)


def test_a_model_can_be_trained_on(tiny, monkeypatch):
    model, counted = tiny[0], Counted(monkeypatch)
    embedded = model.get_input_embeddings()(torch.randint(3, 200, (1, 9))).clone().requires_grad_()
    model(inputs_embeds=embedded).logits.sum().backward()
    assert counted.calls == 0 and embedded.grad.abs().sum() > 0


@pytest.mark.parametrize('asked', [None, 'sdpa', 'eager'])
def test_it_serves_models_that_run_sdpa(tiny, asked):
    model, _ = load(TINY, checkpoint=PLAIN, device='cpu', kernel='reference', attn_implementation=asked)
    assert model.config._attn_implementation == ('eager' if asked == 'eager' else cpu_attention.NAME)


def test_none_without_the_compiled_kernel(tiny, monkeypatch):
    model, ids = tiny[0], torch.randint(3, 200, (1, 12))
    with torch.inference_mode():
        right = model(ids).logits
        monkeypatch.setattr(cpu_attention, 'unavailable_reason', lambda: 'it is gone')
        assert torch.dist(model(ids).logits, right) < 1e-5 * right.norm()
    other, _ = load(TINY, checkpoint=PLAIN, device='cpu', kernel='reference')
    assert other.config._attn_implementation == 'sdpa'


@pytest.mark.parametrize('argument', ['softcap', 's_aux', 'position_bias', 'head_mask', 'output_attentions'])
def test_what_changes_the_result_goes_to_sdpa(tiny, monkeypatch, argument):
    """Soft-capping (Gemma-2), sinks (gpt-oss) and the like are not in the compiled function."""
    counted, calls = Counted(monkeypatch), []
    functions = transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS
    monkeypatch.setitem(functions._global_mapping, 'sdpa', lambda *args, **kwargs: calls.append(kwargs))
    query, key = torch.randn(1, 2, 1, 16), torch.randn(1, 2, 5, 16)
    cpu_attention.attention(torch.nn.Module(), query, key, key, None)
    assert (counted.calls, len(calls)) == (1, 0)
    cpu_attention.attention(torch.nn.Module(), query, key, key, None, **{argument: torch.ones(2)})
    assert (counted.calls, len(calls)) == (1, 1) and argument in calls[0]
