"""Which loaders there are, and which settings each of them has."""

import functools

loaders_and_params = {'Transformers': ['cpu', 'bf16'], 'llama.cpp': ['ctx_size']}
loaders_samplers = {'Transformers': {'temperature', 'top_p'}, 'llama.cpp': {'temperature'}}


@functools.cache
def list_all_samplers():
    return sorted(set().union(*loaders_samplers.values()))


@functools.cache
def get_all_params():
    return sorted(set().union(*loaders_and_params.values()))


@functools.cache
def list_model_elements():
    return ['loader', 'cpu', 'bf16', 'ctx_size']
