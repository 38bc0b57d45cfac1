"""Decoding piece by piece keeps every space."""

import weakref

from airoboros_gptq.airoboros.conversation import render
from airoboros_gptq.generation import detokenizer
from airoboros_gptq.generation.streaming import Sampling, stream


def test_the_tokenizer_is_copied_once(load_tiny, monkeypatch):
    """The copy takes 0.1 s with a vocabulary of 32,000: more than the first token."""
    tiny, made = load_tiny(), []
    real = detokenizer._with_leading_space
    monkeypatch.setattr(detokenizer, '_with_leading_space', lambda t: made.append(t) or real(t))
    monkeypatch.setattr(detokenizer, '_copies', weakref.WeakKeyDictionary())
    for _ in range(3):
        list(stream(*tiny, render([('Hi', None)]), Sampling(0, 1, 1.0, max_new_tokens=2)))
    assert made == [tiny[1]]
