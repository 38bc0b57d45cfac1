"""generate() takes what transformers' takes, wherever it is said, and answers the same: plain transformers on the dequantised
twin is the oracle.
"""

import copy
import random

import pytest
import torch
from airoboros_gptq import load
from made_models import expected, make
from support import TINY, VOCABULARY
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM, LogitsProcessorList
from turn_support import After, Watch

SIZES = {'hidden_size': 64, 'intermediate_size': 96, 'num_hidden_layers': 2, 'num_attention_heads': 2}

# Settings that a GenerationConfig holds, each with values that change the answer.
SETTINGS = {
    'num_beams': (1, 3),
    'num_return_sequences': (1, 2),
    'do_sample': (True, False),
    'temperature': (0.5, 2.0),
    'top_k': (4,),
    'top_p': (0.7,),
    'min_p': (0.1,),
    'typical_p': (0.5,),
    'repetition_penalty': (1.5,),
    'no_repeat_ngram_size': (2,),
    'bad_words_ids': ([[5], [7, 8]],),
    'suppress_tokens': ([5, 6],),
    'begin_suppress_tokens': ([9],),
    'sequence_bias': ([[[5], 5.0]],),
    'forced_eos_token_id': (2,),
    'exponential_decay_length_penalty': ((3, 1.5),),
    'renormalize_logits': (True,),
    'guidance_scale': (1.5,),
    'use_cache': (True, False),
    'cache_implementation': ('static', 'dynamic'),
    'prompt_lookup_num_tokens': (3,),
    'token_healing': (True,),
    'return_dict_in_generate': (True,),
    'output_scores': (True,),
    'output_attentions': (True,),
    'max_time': (100.0,),
    'max_length': (11, 4),
    'max_new_tokens': (0, 3, 9),
    'min_length': (12,),
    'min_new_tokens': (4,),
    'eos_token_id': (2, [2, 5, 199, 13], None),
    'pad_token_id': (0, 20, None),
    'stop_strings': (['a', 'e'], 'the'),
    'penalty_alpha': (0.6,),
    'dola_layers': ('low',),
    'use_mtp': (False,),
    'assistant_early_exit': (1,),
    'prefill_chunk_size': (4,),
    'watermarking_config': ({'bias': 2.5, 'seeding_scheme': 'selfhash'},),
}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    config = LlamaConfig(**SIZES, vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2)
    torch.manual_seed(0)
    return make(tmp_path_factory.mktemp('made'), LlamaForCausalLM(config))


def load_made(made):
    return load(made.folder, device='cpu', kernel='reference', dtype=torch.float32, progress=lambda a, b: None)[0]


@pytest.fixture(scope='module')
def pair(made):
    model = load_made(made)
    twin = expected(made)
    twin.generation_config = copy.deepcopy(model.generation_config)
    return model, twin, AutoTokenizer.from_pretrained(TINY)


def prompt(length=8):
    return torch.tensor([[1, 20, 300, 77, 512, 4, 9, 33]])[:, :length]


def answer(model, call):
    """What a call gives, in comparable form: tokens and scores, or the error."""
    torch.manual_seed(0)
    try:
        out = call(model)
    except Exception as e:  # whatever transformers raises is the expected answer
        return type(e), str(e)
    if isinstance(out, torch.Tensor):
        return out.tolist()
    return sorted(k for k in out if k not in ('cache', 'past_key_values')), out.sequences.tolist()


def drawn(rng):
    """A call of generate(): (settings of the model's config, of the config given or None, keywords)."""
    kept, given, said = {}, {}, {}
    for name in rng.sample(sorted(SETTINGS), rng.choice((1, 1, 2, 3))):
        value = rng.choice(SETTINGS[name])
        rng.choice((kept, given, said))[name] = value
        if name == 'num_return_sequences' and value == 2:
            said['num_beams'] = 3
    said = {'max_new_tokens': 6} | said if rng.random() < 0.8 else said
    return kept, given if given or rng.random() < 0.5 else None, said


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('seed', range(3))
def test_any_call_answers_as_transformers_does(pair, seed):
    model, twin, tokenizer = pair
    rng = random.Random(seed)
    for _ in range(12):
        kept, given, said = drawn(rng)
        mask = {'attention_mask': torch.ones_like(prompt())} if rng.random() < 0.7 else {}
        if rng.random() < 0.7:
            said['tokenizer'] = tokenizer
        length = rng.choice((None, 40)) if 'max_length' in str((kept, given, said)) else 40

        def call(model, kept=kept, given=given, said=said, mask=mask, length=length):
            before = copy.deepcopy(model.generation_config)
            try:
                model.generation_config.max_length = length
                for name, value in kept.items():
                    setattr(model.generation_config, name, value)
                config = {} if given is None else {'generation_config': GenerationConfig(**given)}
                return model.generate(prompt(), **config, **mask, **copy.copy(said))
            finally:
                model.generation_config = before

        assert answer(model, call) == answer(twin, call), (kept, given, said, mask.keys())


def test_beams_of_the_model_s_config_hold_beside_a_config_given(pair):
    def call(model):
        before = copy.deepcopy(model.generation_config)
        try:
            model.generation_config.num_beams = 3
            model.generation_config.num_return_sequences = 2
            return model.generate(prompt(), generation_config=GenerationConfig(max_new_tokens=8))
        finally:
            model.generation_config = before

    found = answer(pair[0], call)
    assert len(found) == 2 and found == answer(pair[1], call)


def test_stop_strings_end_an_answer(pair):
    _, twin, tokenizer = pair
    settings = {'max_new_tokens': 12, 'do_sample': False, 'attention_mask': torch.ones_like(prompt())}
    whole = twin.generate(prompt(), **settings)
    stop = tokenizer.decode(whole[0, 8 + 3 : 8 + 4])
    for where in ({'stop_strings': [stop]}, {'generation_config': GenerationConfig(stop_strings=[stop])}):
        ended = [one.generate(prompt(), tokenizer=tokenizer, **where, **settings).tolist() for one in pair[:2]]
        assert ended[0] == ended[1] and len(ended[0][0]) < whole.shape[1]


@pytest.mark.parametrize(
    'inputs',
    [
        {'inputs_embeds': torch.zeros(1, 8, 64)},
        {'negative_prompt_ids': torch.tensor([[1, 7, 8]]), 'guidance_scale': 1.5},
        {'prefix_allowed_tokens_fn': lambda batch, ids: [5, 6, 7]},
        {'logits_to_keep': 1},
        {'position_ids': torch.arange(8)[None] + 3},
    ],
    ids=lambda inputs: next(iter(inputs)),
)
def test_other_arguments(pair, inputs):
    def call(model):
        ids = () if 'inputs_embeds' in inputs else (prompt(),)
        return model.generate(*ids, attention_mask=torch.ones_like(prompt()), max_new_tokens=6, **inputs)

    assert answer(pair[0], call) == answer(pair[1], call)


def test_processors_and_criteria_are_called_as_often(pair):
    seen = []
    for model in pair[:2]:
        watch, stop = Watch(), After(3)
        model.generate(
            prompt(), max_new_tokens=6, eos_token_id=None, logits_processor=LogitsProcessorList([watch]),
            stopping_criteria=[stop],
        )  # fmt: skip
        seen.append((len(watch.logits), stop.left))
    assert seen[0] == seen[1] == (3, 0)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', ['PromptTuningConfig', 'PrefixTuningConfig', 'PromptEncoderConfig'])
def test_prompts_that_peft_learned_have_their_effect(made, kind):
    peft = pytest.importorskip('peft')
    hidden = {'encoder_hidden_size': 64} if kind == 'PromptEncoderConfig' else {}
    config = getattr(peft, kind)(task_type='CAUSAL_LM', num_virtual_tokens=8, **hidden)
    settings = {'attention_mask': torch.ones_like(prompt()), 'max_new_tokens': 10, 'do_sample': False}
    model, twin = load_made(made), expected(made)
    plain = model.generate(prompt(), **settings).tolist()
    answers = []
    for one in (model, twin):
        torch.manual_seed(1)
        outer = peft.get_peft_model(one, config).eval()
        with torch.no_grad():
            for p in outer.parameters():
                if p.requires_grad:
                    p.add_(torch.randn_like(p))
        answers += [outer.generate(input_ids=prompt(), **settings).tolist() for _ in range(2)]
    assert answers == answers[:1] * 4
    if kind != 'PrefixTuningConfig':  # transformers 5.24 drops the cache in which peft 0.21 passes a prefix
        assert answers[0] != plain
    assert model.generate(prompt(), **settings).tolist() == plain
