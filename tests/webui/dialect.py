"""Differences between versions of the webui that its user sees, detected in the source, not by version number.

A test of a feature that some version lacks is marked `@needs('…')`, with a name from FEATURES, and is skipped there.
What only looks different driver.py and its page_*.py handle.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

# Feature -> (the file that shows it, text in that file).
FEATURES = {
    # since v4.1, which the stand-in (tests/standin) copies
    'the stub webui of the unit tests (written after v4.1)': ('modules/loaders.py', 'def list_model_elements'),
    # since v3.4
    'versions of an answer': ('modules/html_generator.py', 'current_version_index'),
    'editing a message': ('modules/html_generator.py', 'footer-edit-button'),
    'branching a chat': ('modules/html_generator.py', 'footer-branch-button'),
    # since v3
    'the copy button of a message': ('modules/html_generator.py', 'footer-copy-button'),
    'a GPTQ folder without the extension': (
        'modules/models_settings.py',
        'hf_quant_method',
    ),  # before, ExLlamaV2, or an end
    'the context length shown when a model is picked': ('modules/ui_model_menu.py', 'Max sequence length'),
    # since v4.2
    'logprobs in chat completions': ('modules/api/completions.py', 'format_chat_logprobs'),
    # since v3.8
    'the attn-implementation menu': ('modules/loaders.py', "'attn_implementation'"),
    # since v4.0; the older tab is laid out differently and not tested
    'LoRA training (v4 has another Training tab)': ('modules/training.py', 'label="Text Dataset"'),
    # since v2; before, one of its tensors was always on CUDA
    'mirostat on the CPU': ('modules/sampler_hijack.py', 'prob_topk = torch.softmax(sorted_logits, dim=0)\n'),
    # since v3.7
    'user_data/extensions': ('modules/extensions.py', 'user_script_path'),
}

# The loader that the webui chooses for a GPTQ folder without the extension: ExLlamaV2 before v3.
LOADERS_WITHOUT_EXTENSION = re.compile('^(Transformers|ExLlamav2_HF)$')

# Tracebacks that the webui logs with or without the extension; a line of each.
KNOWN_TRACEBACKS = (
    # Before v3: a page that opens while a model is loaded may gather its values before they are set, and the character is None.
    'in load_character',
)


def has(webui: Path, feature: str) -> bool:
    """Whether a webui has a feature. Raises KeyError for one that is not in FEATURES."""
    file, text = FEATURES[feature]
    return (webui / file).is_file() and text in (webui / file).read_text('utf-8')


def needs(feature: str):
    """Marks a test that a webui without this feature skips; see conftest.py."""
    assert feature in FEATURES, feature
    return pytest.mark.needs(feature)


def tracebacks(log: str) -> list[str]:
    """The tracebacks in a log, without KNOWN_TRACEBACKS."""
    found = log.split('Traceback (most recent call last)')[1:]
    return [traceback for traceback in found if not any(known in traceback for known in KNOWN_TRACEBACKS)]
