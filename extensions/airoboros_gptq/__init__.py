"""GPTQ models for text-generation-webui, for a page of one's own, and for Python.

    from airoboros_gptq import load
    model, tokenizer = load('models/TheBloke_airoboros-7B-gpt4-1.2-GPTQ')

Importing this package imports neither torch nor transformers: those wait until a model is loaded.
"""

import logging

from .clean_text import CleanRecords
from .errors import GPTQError

__version__ = '0.2.0'
__all__ = ['AutoGPTQForCausalLM', 'BaseQuantizeConfig', 'GPTQError', 'load']

_LAZY = {
    'load': '.model.load',
    'AutoGPTQForCausalLM': '.model.autogptq_compat',
    'BaseQuantizeConfig': '.model.autogptq_compat',
}


logging.getLogger('airoboros_gptq').addFilter(CleanRecords())


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from importlib import import_module

    return getattr(import_module(_LAZY[name], __name__), name)
