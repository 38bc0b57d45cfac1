"""The spaces of a SentencePiece tokenizer, as its tokenizer.json has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerBase

_SPACE = '\u2581'  # SentencePiece's


def restore_spacing(tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer with the vocabulary, normalizer, pre-tokenizer and decoder of the folder's tokenizer.json, where one of
    the two writes spaces as SentencePiece does. What AutoTokenizer settled of added and special tokens stays, but for
    whether a token of tokenizer.json is looked for before the spaces are written or after.
    """
    backend: Tokenizer | None = getattr(tokenizer, '_tokenizer', None)
    path = folder / 'tokenizer.json'
    if backend is None or not path.is_file():
        return tokenizer
    from tokenizers import Tokenizer

    exact = Tokenizer.from_file(str(path))
    if not (_writes_spaces(exact) or _writes_spaces(backend)):
        return tokenizer
    in_file = {token.content: token for token in exact.get_added_tokens_decoder().values()}
    for _, token in sorted(backend.get_added_tokens_decoder().items()):
        _add(exact, token, in_file.get(token.content))
    exact.post_processor = backend.post_processor
    exact.encode_special_tokens = backend.encode_special_tokens
    tokenizer._tokenizer = exact
    return tokenizer


def is_sentencepiece(path: Path) -> bool:
    """Whether the tokenizer.json at `path` writes spaces as SentencePiece does."""
    from tokenizers import Tokenizer

    return _writes_spaces(Tokenizer.from_file(str(path)))


def _writes_spaces(backend: Tokenizer) -> bool:
    return any(_SPACE in repr(part) for part in (backend.normalizer, backend.pre_tokenizer))


def _add(exact: Tokenizer, token: AddedToken, in_file: AddedToken | None) -> None:
    from tokenizers import AddedToken

    flags = {name: getattr(token, name) for name in ('single_word', 'lstrip', 'rstrip', 'special', 'normalized')}
    if in_file is not None:
        flags['normalized'] = in_file.normalized
    elif flags['normalized'] and exact.normalizer and exact.normalizer.normalize_str(token.content) != token.content:
        flags['normalized'] = False  # with a space before it, it would be found at the beginning of a text alone
    exact.add_tokens([AddedToken(token.content, **flags)])
