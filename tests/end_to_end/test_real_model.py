"""SmolLM2-135M-Instruct, where `python -m airoboros_gptq real-model` has put it into the cache; skipped elsewhere.

A real language model has what random weights and the tiny Airoboros lack: a large vocabulary, digits that are split, tied
embeddings, and answers whose sense a wrong rotation or scale destroys.
"""

import dequantise
import pytest
import torch
from airoboros_gptq import load
from airoboros_gptq.airoboros.conversation import conversation_prompt
from airoboros_gptq.demo.examples import GENERAL, GREEDY, sampling_for
from support import REAL_MODEL, ROOT, greedy
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = pytest.mark.skipif(
    not REAL_MODEL.is_dir(), reason=f'{REAL_MODEL} is not there: python -m airoboros_gptq real-model'
)

# llama.cpp's own ids (build 11549) of the GGUF file that the folder was made of.
LLAMA_CPP = {
    'a 12 345  67\n\n  x1y22 ½ ²³ ٣٤': '81 216 33 34 216 35 36 37 256 38 39 8866 1792 33 105 34 34 216 16738 216 19133 39050 '
    '216 164 113 164 114',
}
# What an answer to each of the demo's examples has to say.
RIGHT = {
    'What is the capital of France?': 'Paris',
    'Explain in two sentences why the sky is blue.': 'Rayleigh scattering',
    "Give me three tips for a good night's sleep.": 'caffeine',
    'Write a short story about a dog that learns to swim.': 'swim',
    'Write a Python function that adds two numbers.': 'return num1 + num2',
}


@pytest.fixture(scope='module')
def loaded():
    return load(REAL_MODEL, kernel='auto', device='cpu')


def test_ids_are_llama_cpp_s(loaded):
    for text, ids in LLAMA_CPP.items():
        assert loaded[1](text).input_ids == [int(i) for i in ids.split()]


def test_the_chat_template_is_chatml_with_its_system_prompt(loaded):
    prompt = conversation_prompt(loaded[1], [('Hello', None)], airoboros=None)
    assert prompt == (
        '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n'
        '<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n'
    )


@pytest.mark.parametrize('example', GENERAL, ids=lambda e: e.question)
def test_it_answers_the_demo_s_examples(loaded, example):
    model, tokenizer = loaded
    prompt = conversation_prompt(tokenizer, [(example.question, None)], airoboros=None)
    assert RIGHT[example.question].lower() in greedy(model, tokenizer, prompt).lower()
    assert sampling_for(REAL_MODEL, None) == GREEDY


def test_an_answer_ends(loaded):
    model, tokenizer = loaded
    prompt = conversation_prompt(tokenizer, [('What is the capital of France?', None)], airoboros=None)
    ids = tokenizer(prompt, return_tensors='pt').input_ids
    out = model.generate(ids, do_sample=False, max_new_tokens=40)
    assert tokenizer.decode(out[0, ids.shape[1] :]) == 'The capital of France is Paris.<|im_end|>'


def test_logits_are_transformers_own_on_the_twin(tmp_path):
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    ids = AutoTokenizer.from_pretrained(REAL_MODEL)(text, return_tensors='pt').input_ids[:, :96]
    dequantise.write_twin(REAL_MODEL, tmp_path / 'twin', dtype=torch.float32)
    twin = AutoModelForCausalLM.from_pretrained(tmp_path / 'twin', dtype=torch.float32)
    with torch.inference_mode():
        expected = twin(ids).logits[0].log_softmax(-1)
        del twin
        exact = load(REAL_MODEL, kernel='reference', device='cpu', dtype='float32')[0](ids).logits[0].log_softmax(-1)
        fast = load(REAL_MODEL, kernel='auto', device='cpu')[0](ids).logits[0].float().log_softmax(-1)
    assert (exact - expected).abs().max() < 1e-3
    divergence = (expected.exp() * (expected - fast)).sum(-1).mean()
    assert divergence < 0.01  # nats; bf16's rounding
