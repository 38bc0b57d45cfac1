"""Every sampler of the Transformers loader, with a value other than its default, in the webui's own generate_reply."""

import json
import subprocess
from pathlib import Path

import pytest

from . import server as webui_server
from .conftest import MODEL, WEBUI
from .dialect import needs

GRAMMAR = 'root ::= "yes" | "no"'
LOOSE = {'temperature': 4.0, 'top_p': 1.0, 'top_k': 0}
# Samplers that only work together are set together.
SWEEP = {
    'temperature': {'temperature': 0.3},
    'dynamic_temperature': {'dynamic_temperature': True, 'dynatemp_low': 0.5, 'dynatemp_high': 1.5},
    'dynatemp_low': {'dynamic_temperature': True, 'dynatemp_low': 0.2},
    'dynatemp_high': {'dynamic_temperature': True, 'dynatemp_high': 2.0},
    'dynatemp_exponent': {'dynamic_temperature': True, 'dynatemp_high': 2.0, 'dynatemp_exponent': 2.0},
    'smoothing_factor': {'smoothing_factor': 0.5},
    'smoothing_curve': {'smoothing_factor': 0.5, 'smoothing_curve': 2.0},
    'min_p': {'min_p': 0.1},
    'top_p': {'top_p': 0.5},
    'top_k': {'top_k': 3},
    'typical_p': {'typical_p': 0.5},
    'xtc_threshold': {'xtc_threshold': 0.05, 'xtc_probability': 1.0, **LOOSE},
    'xtc_probability': {'xtc_threshold': 0.2, 'xtc_probability': 0.5, **LOOSE},
    'epsilon_cutoff': {'epsilon_cutoff': 3},
    'eta_cutoff': {'eta_cutoff': 3},
    'tfs': {'tfs': 0.5},
    'top_a': {'top_a': 0.2},
    'top_n_sigma': {'top_n_sigma': 1.0},
    'adaptive_target': {'adaptive_target': 0.5},
    'adaptive_decay': {'adaptive_target': 0.5, 'adaptive_decay': 0.5},
    'dry_multiplier': {'dry_multiplier': 0.8},
    'dry_allowed_length': {'dry_multiplier': 0.8, 'dry_allowed_length': 1},
    'dry_base': {'dry_multiplier': 0.8, 'dry_base': 3.0},
    'dry_sequence_breakers': {'dry_multiplier': 0.8, 'dry_sequence_breakers': '"."'},
    'repetition_penalty': {'repetition_penalty': 1.3},
    'frequency_penalty': {'frequency_penalty': 1.0},
    'presence_penalty': {'presence_penalty': 1.0},
    'encoder_repetition_penalty': {'encoder_repetition_penalty': 1.2},
    'no_repeat_ngram_size': {'no_repeat_ngram_size': 2},
    'repetition_penalty_range': {'repetition_penalty': 1.3, 'repetition_penalty_range': 8},
    'guidance_scale': {'guidance_scale': 1.5},
    'negative_prompt': {'guidance_scale': 1.5, 'negative_prompt': 'A chat. USER: What is 1 plus 1? ASSISTANT: '},
    'mirostat_mode': {'mirostat_mode': 2},
    'mirostat_tau': {'mirostat_mode': 2, 'mirostat_tau': 2.0},
    'mirostat_eta': {'mirostat_mode': 2, 'mirostat_eta': 0.5},
    'prompt_lookup_num_tokens': {'prompt_lookup_num_tokens': 4, 'do_sample': False},
    'do_sample': {'do_sample': False},
    'temperature_last': {'temperature_last': True, 'temperature': 0.7},
    'auto_max_new_tokens': {'auto_max_new_tokens': True, 'do_sample': False},
    'ban_eos_token': {'ban_eos_token': True, 'do_sample': False},
    'add_bos_token': {'add_bos_token': False},
    'skip_special_tokens': {'skip_special_tokens': False, 'do_sample': False},
    'static_cache': {'static_cache': True, 'do_sample': False},
    'seed': {'seed': 7, **LOOSE},
    'sampler_priority': {'sampler_priority': 'top_p\ntemperature\nmin_p', 'min_p': 0.1},
    'custom_token_bans': {'custom_token_bans': '', 'do_sample': False},  # the ids are filled in below
    'grammar_string': {'grammar_string': GRAMMAR, 'do_sample': False},
    'penalty_alpha': {'penalty_alpha': 0.6, 'top_k': 4, 'do_sample': False},
}
MORE = {
    'seed, again': SWEEP['seed'],
    'another seed': {'seed': 8, **LOOSE},
    'not streamed': {'stream': False, 'do_sample': False},
    'not streamed, static_cache': {'stream': False, 'static_cache': True, 'do_sample': False},
    'not streamed, prompt_lookup_num_tokens': {'stream': False, **SWEEP['prompt_lookup_num_tokens']},
    'after all that': {'do_sample': False},
}
ANSWER = '3 plus 4 is 7.'


@pytest.fixture(scope='module')
def said(make_webui, tmp_path_factory, corpus):
    """The answers of a webui to the same question with each of them, from one run."""
    webui, folder = make_webui('samplers'), tmp_path_factory.mktemp('samplers')
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(webui_server.TINY / 'tokenizer.json'))
    seven = [i for i in range(len(tokenizer)) if tokenizer.convert_ids_to_tokens(i) in ('7', '▁7')]
    states = SWEEP | {'custom_token_bans': {'custom_token_bans': ', '.join(map(str, seven)), 'do_sample': False}} | MORE
    (folder / 'states.json').write_text(json.dumps(states))
    prompt = corpus.prompt([('What is 3 plus 4?', '')])
    command = [webui_server.python_of(Path(WEBUI)), str(Path(__file__).with_name('inside.py')), MODEL, prompt]
    done = subprocess.run(
        [*command, str(folder / 'states.json'), str(folder / 'said.json')],
        cwd=webui,
        env=webui_server.environment(),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert (folder / 'said.json').is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads((folder / 'said.json').read_text())
    found['log'] = done.stdout + done.stderr
    return found


def test_this_loader_offers_the_samplers_of_transformers_and_all_are_tested(said):
    assert said['loader'] == 'airoboros-GPTQ'
    assert said['own_samplers'] == said['samplers']
    assert set(said['samplers']) - set(SWEEP) - {'grammar_file_row', 'enable_thinking', 'reasoning_effort'} == set()


def sampler(name):
    marks = needs('mirostat on the CPU') if name.startswith('mirostat') else ()
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize('name', [sampler(name) for name in SWEEP if name != 'penalty_alpha'])
def test_there_is_an_answer(said, name):
    if name not in said['samplers']:
        pytest.skip(f'this webui has no {name}')
    assert said['answers'][name].strip(), said['log'][-3000:]


def test_no_answer_hides_a_failure(said):
    # transformers has no contrastive search any more; the webui's own loader fails too.
    assert said['log'].count('Failed to generate') <= (said['answers']['penalty_alpha'].strip() == '')


GREEDY = ['do_sample', 'auto_max_new_tokens', 'static_cache', *(name for name in MORE if 'seed' not in name)]


# Not prompt_lookup_num_tokens with streaming: the webui prints its candidates too.
@pytest.mark.parametrize('name', GREEDY)
def test_greedy_gives_the_trained_answer(said, name):
    assert said['answers'][name].strip() == ANSWER


def test_the_seed_determines_the_answer(said):
    answers = said['answers']
    assert answers['seed'] == answers['seed, again'] != answers['another seed']


def test_grammar_bans_and_special_tokens_are_obeyed(said):
    answers = said['answers']
    assert answers['grammar_string'].strip() in ('yes', 'no')
    assert '7' not in answers['custom_token_bans']
    assert len(answers['ban_eos_token']) > len(ANSWER) and '</s>' not in answers['ban_eos_token']
    assert answers['skip_special_tokens'].strip() == ANSWER
