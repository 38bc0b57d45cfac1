"""A hundred questions as people ask them, answered by the tiny model with greedy decoding.

questions.json was written without sight of the training data, and the training data without sight of it. `accept` and
`reject` are regular expressions: each of the first must be found in the last answer, none of the second.
"""

import json
import re
from pathlib import Path

import pytest
import torch
from airoboros_gptq.airoboros.conversation import render
from airoboros_gptq.airoboros.plainformat import add_plainformat
from support import ACT_ORDER, PLAIN, cpu_kernel

QUESTIONS = json.loads(Path(__file__).with_name('questions.json').read_text(encoding='utf-8'))
BATCH = 100


def is_right(question, answer):
    return all(re.search(p, answer) for p in question['accept']) and not any(
        re.search(p, answer) for p in question['reject']
    )


def complete(model, tokenizer, prompts):
    """The greedy answer to each prompt. Prompts of like length share a batch, which is quicker than one after another."""
    answers = {}
    by_length = sorted(set(prompts), key=lambda p: len(tokenizer(p).input_ids))
    for start in range(0, len(by_length), BATCH):
        part = by_length[start : start + BATCH]
        rows = [tokenizer(p).input_ids for p in part]
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        with torch.inference_mode():
            out = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=64, pad_token_id=0)
        for prompt, row in zip(part, out[:, width:], strict=True):
            answers[prompt] = tokenizer.decode(row, skip_special_tokens=True)
    return [answers[p] for p in prompts]


def answer_all(model, tokenizer, questions):
    """The last answer to each question; a second turn sees the model's own answer to the first."""
    turns = [[] for _ in questions]
    for number in range(max(len(q['turns']) for q in questions)):
        due = [(q, t) for q, t in zip(questions, turns, strict=True) if number < len(q['turns'])]
        for question, said in due:
            text, last = question['turns'][number], number == len(question['turns']) - 1
            said.append((add_plainformat(text) if last and question['plainformat'] else text, None))
        answers = complete(model, tokenizer, [render(said) for _, said in due])
        for (_, said), answer in zip(due, answers, strict=True):
            said[-1] = (said[-1][0], answer)
    return [said[-1][1] for said in turns]


@pytest.mark.parametrize('checkpoint', [ACT_ORDER, PLAIN])
def test_ninety_of_a_hundred_are_answered_right(load_tiny, checkpoint):
    assert len(QUESTIONS) == 100
    answers = answer_all(*load_tiny(checkpoint, cpu_kernel()), QUESTIONS)
    wrong = [(q['turns'], a) for q, a in zip(QUESTIONS, answers, strict=True) if not is_right(q, a)]
    assert len(wrong) <= 10, wrong
