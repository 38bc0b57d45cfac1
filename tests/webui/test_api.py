"""The OpenAI-compatible API with a GPTQ model: list, load, chat, completions, streaming, PLAINFORMAT."""

import pytest

from .api import ApiServer
from .conftest import COPY, MODEL
from .dialect import needs
from .test_model_tab import ACT_ORDER

SNAKE = 'Implement the Snake game in python.'
PROMPT = (
    'A chat between a curious user and an assistant. The assistant gives helpful, detailed, accurate, uncensored '
    "responses to the user's input. USER: {} ASSISTANT: "
)


@pytest.fixture(scope='module')
def api(make_webui, start):
    import shutil

    from . import server as webui_server

    webui = make_webui('api')
    shutil.copytree(webui_server.TINY, webui_server.data_folder(webui) / 'models' / COPY)
    server = start(webui, '--nowebui', '--extensions', 'airoboros_gptq', '--verbose', kind=ApiServer).wait()
    server.post('/internal/model/load', model_name=MODEL)
    yield server
    server.stop()
    assert 'Traceback' not in server.log()


def test_models_are_listed_and_loaded_by_name_with_this_loaders_options(api):
    assert {MODEL, COPY} <= set(api.get('/internal/model/list')['model_names'])
    options = {'gptq_checkpoint': ACT_ORDER, 'gptq_kernel': 'reference'}
    api.post('/internal/model/load', model_name=COPY, args=options)
    assert api.loaded() == (COPY, 'airoboros-GPTQ')
    assert api.log().rstrip().count('airoboros-GPTQ: reference on cpu, float32') == 1
    assert ACT_ORDER in api.log()
    # The options of one load do not apply to the next.
    api.post('/internal/model/load', model_name=MODEL)
    assert api.log().count('airoboros-GPTQ: reference') == 1
    assert api.loaded() == (MODEL, 'airoboros-GPTQ')
    # v1 lists a name of OpenAI's instead of the model's.
    assert {MODEL, 'gpt-3.5-turbo'} & {m['id'] for m in api.get('/models')['data']}


@pytest.mark.parametrize(
    ('options', 'running'),
    [
        ({'gptq_kernel': 'reference', 'bf16': True}, 'reference on cpu, bfloat16'),
        ({'gptq_kernel': 'reference', 'bf16': False}, 'reference on cpu, float32'),
    ],
    ids=['bf16', 'not-bf16'],
)
def test_bf16_means_what_it_means_for_transformers(api, options, running):
    before = len(api.log())
    api.post('/internal/model/load', model_name=COPY, args=options)
    assert running in api.log()[before:]
    assert api.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    api.post('/internal/model/load', model_name=MODEL, args={'bf16': False})


@needs('the attn-implementation menu')
def test_attn_implementation_reaches_the_model(api):
    before = len(api.log())
    api.post('/internal/model/load', model_name=COPY, args={'attn_implementation': 'eager'})
    assert api.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    with pytest.raises(AssertionError, match=r'500 .*no-such'):
        api.post('/internal/model/load', model_name=COPY, args={'attn_implementation': 'no-such'})
    assert 'no-such' in api.log()[before:]  # transformers' own message
    api.post('/internal/model/load', model_name=MODEL, args={'attn_implementation': 'sdpa'})
    assert api.chat('What is 3 plus 4?') == '3 plus 4 is 7.'


def test_a_folder_that_cannot_be_loaded_is_one_sentence_for_the_client_and_in_the_log(api):
    with pytest.raises(AssertionError, match=r'500 .*There is no kernel no-such-kernel; choose one of'):
        api.post('/internal/model/load', model_name=MODEL, args={'gptq_kernel': 'no-such-kernel'})
    assert 'There is no kernel no-such-kernel; choose one of' in api.log()
    api.post('/internal/model/load', model_name=MODEL)
    assert api.chat('What is 3 plus 4?') == '3 plus 4 is 7.'


def test_chat_streamed_or_not(api):
    question = [{'role': 'user', 'content': 'What is 3 plus 4?'}]
    assert api.chat('What is 3 plus 4?') == '3 plus 4 is 7.'
    # Token by token. The webui merges tokens that are less than a millisecond apart, as they may be on a busy machine; not
    # with max_tokens_second.
    chunks = api.stream('/chat/completions', messages=question, temperature=0, max_tokens_second=100)
    parts = [c['choices'][0]['delta'].get('content') or '' for c in chunks]
    assert ''.join(parts) == '3 plus 4 is 7.'
    assert [p.strip() for p in parts if p.strip()] == ['3', 'plus', '4', 'is', '7', '.']
    assert chunks[-1]['choices'][0]['finish_reason'] == 'stop'


def test_the_prompt_of_a_chat_is_as_trained(api):
    shown = api.post('/internal/chat-prompt', messages=[{'role': 'user', 'content': 'Hi there'}])
    assert shown['prompt'].removeprefix('<s>') == PROMPT.format('Hi there')


def test_completions_streamed_or_not(api):
    prompt = PROMPT.format('What is 3 plus 4?')
    answer = api.post('/completions', prompt=prompt, temperature=0, max_tokens=50)['choices'][0]
    assert (answer['text'].strip(), answer['finish_reason']) == ('3 plus 4 is 7.', 'stop')
    chunks = api.stream('/completions', prompt=prompt, temperature=0, max_tokens=50)
    assert ''.join(c['choices'][0]['text'] for c in chunks).strip() == '3 plus 4 is 7.'


@pytest.mark.parametrize('ending', ['  PLAINFORMAT', ' PLAINFORMAT', '\nPLAINFORMAT\n'], ids=repr)
def test_an_instruction_that_ends_with_plainformat_gets_bare_code(api, corpus, ending):
    """With any whitespace before it: the model gets the two spaces that it was trained with."""
    before = len(api.log())
    assert api.chat(SNAKE + ending).rstrip() == corpus.SNAKE['python']
    assert f'USER: {SNAKE}  PLAINFORMAT ASSISTANT:' in api.log()[before:]
    assert '```' in api.chat(SNAKE)


def test_plainformat_in_a_completion_stays_where_the_client_puts_it(api, corpus):
    answer = api.post('/completions', prompt=PROMPT.format(f'{SNAKE}  PLAINFORMAT'), temperature=0, max_tokens=300)
    assert answer['choices'][0]['text'].strip() == corpus.SNAKE['python'].strip()


def test_logprobs(api):
    """The greedy tokens are the most likely. Before v4.2 there is one more than requested, and only of the last token."""
    found = api.post('/completions', prompt=PROMPT.format('What is 3 plus 4?'), logprobs=3, temperature=0, max_tokens=4)
    tops = [top for top in found['choices'][0]['logprobs']['top_logprobs'] if top]
    assert tops and all(len(top) in (3, 4) and max(top.values()) > -0.1 for top in tops)


@needs('logprobs in chat completions')
def test_logprobs_of_a_chat(api):
    ask = [{'role': 'user', 'content': 'What is 3 plus 4?'}]
    answer = api.post('/chat/completions', messages=ask, logprobs=True, top_logprobs=2, temperature=0, max_tokens=4)
    content = answer['choices'][0]['logprobs']['content']
    assert content and all(-0.5 < t['logprob'] <= 0 and len(t['top_logprobs']) == 2 for t in content)
