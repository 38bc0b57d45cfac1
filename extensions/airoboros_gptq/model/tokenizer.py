"""The tokenizer of a model folder.

transformers 5 rebuilds LLaMA tokenizers by class name and drops what tokenizer.json says of normalisation: after
`</s>` it gives `USER` where training had `▁USER`. So a tokenizer.json is taken at its word here, and a folder with
tokenizer.model alone is converted with the sentencepiece package, which the webui has, rather than through protobuf,
which it has not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoint.validation import is_llama_tokenizer, read_tokenizer_config
from ..errors import GPTQError, first_line

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

_SPECIAL = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}


def load_tokenizer(
    folder: Path, use_fast: bool = True, trust_remote_code: bool = False, settings: dict[str, Any] | None = None
) -> PreTrainedTokenizerBase:
    """A transformers tokenizer. `settings` is tokenizer_config.json where the caller has read it. Raises GPTQError where
    the folder has no tokenizer that can be read.
    """
    if settings is None:
        settings = read_tokenizer_config(folder)  # raises where there is none: transformers 5 would make one up
    llama_like, has_json = is_llama_tokenizer(settings), (folder / 'tokenizer.json').is_file()
    try:
        if llama_like and (use_fast or not _has_slow_tokenizers()):
            return _llama_tokenizer(folder, settings, has_json)
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, use_fast=use_fast, trust_remote_code=trust_remote_code
        )
        return tokenizer
    except (GPTQError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as e:  # transformers raises nearly anything, and a panic of tokenizers' Rust is no Exception
        raise GPTQError(
            f'The tokenizer in {folder} cannot be loaded ({first_line(e)}); download its files again.'
        ) from e


def _has_slow_tokenizers() -> bool:
    """Whether use_fast=False means anything: since transformers 5 it is the rebuilt tokenizer that this module avoids."""
    import transformers

    return int(transformers.__version__.partition('.')[0]) < 5


def _llama_tokenizer(folder: Path, settings: dict[str, Any], has_json: bool) -> PreTrainedTokenizerBase:
    """tokenizer.json as it stands, or one made of tokenizer.model, with the special tokens of the config."""
    from transformers import PreTrainedTokenizerFast

    special = {}
    for key, default in _SPECIAL.items():
        value = settings.get(key) or default
        special[key] = value['content'] if isinstance(value, dict) else value
    if has_json:
        source: dict[str, Any] = {'tokenizer_file': str(folder / 'tokenizer.json')}
    else:
        source = {'tokenizer_object': convert_sentencepiece(folder / 'tokenizer.model', special)}
    pad = settings.get('pad_token')
    tokenizer = PreTrainedTokenizerFast(
        **source,
        **special,
        pad_token=pad['content'] if isinstance(pad, dict) else pad,
        model_max_length=settings.get('model_max_length', 2048),
        clean_up_tokenization_spaces=False,
        padding_side='left',
        model_input_names=['input_ids', 'attention_mask'],
    )
    if settings.get('chat_template'):
        tokenizer.chat_template = settings['chat_template']
    tokenizer.name_or_path = str(folder)
    return tokenizer


def convert_sentencepiece(path: Path, special: dict[str, str]) -> Tokenizer:
    """A tokenizer that gives the ids of the slow LLaMA tokenizer for the BPE model at `path`.

    Merges are not in the file: every piece that joins two others is one, ranked by the joined piece's score. (Not by its
    id: LLaMA's runs of spaces stand first and score last, and two spaces precede PLAINFORMAT.) Between special tokens
    each stretch of text gets the dummy prefix, as in LLaMA's (legacy) tokenizer.
    """
    import sentencepiece

    try:
        sp = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as e:
        raise GPTQError(f'{path} is not a SentencePiece model; download it again.') from e
    pieces = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    lengths = {len(piece) for piece in pieces}  # few, however long the pieces of a hostile file are
    ranked = []
    for i, piece in enumerate(pieces):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i):
            continue
        for cut in lengths:
            if len(piece) - cut not in lengths:
                continue
            left, right = vocabulary.get(piece[:cut]), vocabulary.get(piece[cut:])
            if left is not None and right is not None:
                ranked.append((-sp.get_score(i), i, left, right))
    merges = [(pieces[left], pieces[right]) for _, _, left, right in sorted(ranked)]
    return llama_bpe(vocabulary, merges, special)


def llama_bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]], special: dict[str, str]) -> Tokenizer:
    """A tokenizer that treats text as LLaMA's does: BPE with byte fallback, `▁` for a space and before each text, and the
    bos token first. `special` has unk_token and bos_token, and any others.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=special['unk_token'], fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(' ', 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special.values()])
    bos = special['bos_token']
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f'{bos} $A', pair=f'{bos} $A {bos}:1 $B:1', special_tokens=[(bos, vocabulary[bos])]
    )
    return tokenizer
