"""How large the KV cache of a model grows, from its config.json. Standard library alone."""

from __future__ import annotations

# The same thing by the names that transformers' configs have for it.
_LAYERS = ('num_hidden_layers', 'n_layer', 'num_layers', 'n_layers')
_HEADS = ('num_attention_heads', 'n_head', 'num_heads', 'n_heads')
_KV_HEADS = ('num_key_value_heads', 'num_kv_heads', 'n_head_kv')
_HIDDEN = ('hidden_size', 'n_embd', 'd_model')


def cached_numbers(config: dict) -> int | None:
    """Numbers that the cache holds for one token, keys and values of all layers; None where the config does not say.

    Windows of attention are not counted: where layers look back no further than a window, a long cache is smaller.
    """
    config = config.get('text_config') if isinstance(config.get('text_config'), dict) else config
    layers, heads, hidden = (_first(config, names) for names in (_LAYERS, _HEADS, _HIDDEN))
    head_size = _first(config, ('head_dim',)) or (hidden // heads if hidden and heads else None)
    if not (layers and heads and head_size):
        return None
    return 2 * layers * _kv_heads(config, heads) * head_size


def _kv_heads(config: dict, heads: int) -> int:
    if config.get('new_decoder_architecture'):  # Falcon 40B shares heads, but caches them spread out
        return heads
    # One head for all: a flag of Falcon's and GPT-BigCode's, true where it is not written.
    if config.get('multi_query', config.get('model_type') in ('falcon', 'gpt_bigcode')):
        return 1
    if config.get('model_type') == 'falcon':
        return heads
    return _first(config, _KV_HEADS) or heads


def _first(config: dict, names: tuple[str, ...]) -> int | None:
    """The first of these settings that is a positive whole number."""
    return next((config[n] for n in names if type(config.get(n)) is int and config[n] > 0), None)
