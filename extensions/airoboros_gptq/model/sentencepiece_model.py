"""From a SentencePiece tokenizer.model to a tokenizer of the tokenizers library, without protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GPTQError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MAX_ADDED = 65_536  # tokens beside the vocabulary file: more are a mistake


def convert_sentencepiece(
    path: Path, special: dict[str, str], added: Mapping[int, str] | None = None, legacy: bool = True
) -> Tokenizer:
    """A tokenizer that gives the ids of the slow LLaMA tokenizer for the BPE model at `path`.

    Merges are not in the file: every piece that joins two others is one, ranked by the joined piece's score. (Not by its
    id: LLaMA's runs of spaces stand first and score last, and two spaces precede PLAINFORMAT.) With `legacy`, LLaMA's
    own, each stretch of text between special tokens gets the dummy prefix; without, only the beginning of a text.

    `added` are tokens by id that are in no vocabulary file, or have another name there. Raises GPTQError.
    """
    import sentencepiece

    try:
        sp = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as e:
        raise GPTQError(f'{path} is not a SentencePiece model; download it again.') from e
    pieces = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    lengths = {len(piece) for piece in pieces}  # few, however long the pieces of a hostile file are
    ranked: list[tuple[float, int, int, int]] = []
    whole: list[str] = []
    for i, piece in enumerate(pieces):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i):
            continue
        count = len(ranked)
        for cut in lengths:
            if len(piece) - cut not in lengths:
                continue
            left, right = vocabulary.get(piece[:cut]), vocabulary.get(piece[cut:])
            if left is not None and right is not None:
                ranked.append((-sp.get_score(i), i, left, right))
        if len(ranked) == count and len(piece) > 1 and i in sp.encode(piece):
            whole.append(piece)  # defined by the user: never made of parts
    merges = [(pieces[left], pieces[right]) for _, _, left, right in sorted(ranked)]
    names = _with_added(pieces, added or {}, path)
    kept = set(names)
    merges = [(a, b) for a, b in merges if a in kept and b in kept and a + b in kept]
    vocabulary = {piece: i for i, piece in enumerate(names)}
    control = [piece for i, piece in enumerate(pieces) if (sp.is_control(i) or sp.is_unknown(i)) and piece in kept]
    special = {**special, **{piece: piece for piece in control}}
    return llama_bpe(vocabulary, merges, special, [piece for piece in whole if piece in kept], legacy)


def _with_added(pieces: list[str], added: Mapping[int, str], path: Path) -> list[str]:
    """Pieces by id, with `added` at their ids and a placeholder at each id between that has no name."""
    most = len(pieces) + _MAX_ADDED
    wrong = next((i for i in added if not 0 <= i < most), None)
    if wrong is not None:
        raise GPTQError(
            f'The id {wrong} of {added[wrong]!r} is far from the {len(pieces)} tokens of {path}; download the '
            'tokenizer again.'
        )
    names = [*pieces, *(f'<unused_{i}>' for i in range(len(pieces), max(added, default=-1) + 1))]
    taken = {token: i for i, token in added.items()}
    for i, name in enumerate(names):
        if i in added:
            names[i] = added[i]
        elif taken.get(name, i) != i:
            names[i] = f'<unused_{i}>'  # its name belongs to another id
    return names


def llama_bpe(
    vocabulary: dict[str, int],
    merges: list[tuple[str, str]],
    special: dict[str, str],
    whole: Sequence[str] = (),
    legacy: bool = True,
) -> Tokenizer:
    """A tokenizer that treats text as LLaMA's does: BPE with byte fallback, `▁` for a space and before each text, and the
    bos token first. `special` has unk_token and bos_token, and any others; `whole` are pieces that are never made of
    parts. Without `legacy` a text after a special token gets no `▁`.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=special['unk_token'], fuse_unk=True, byte_fallback=True)
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme='first', split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(' ', 1, 0)]
    )
    named = [token for token in special.values() if token in vocabulary]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in named])
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in whole])
    bos = special['bos_token']
    if bos in vocabulary:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[bos, '$A'], pair=[bos, '$A', f'{bos}:1', '$B:1'], special_tokens=[(bos, vocabulary[bos])]
        )
    return tokenizer
