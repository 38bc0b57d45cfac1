"""The tokenizer of a model folder: AutoTokenizer's, with the spacing of training.

transformers 5 rebuilds a SentencePiece tokenizer by the name of its class and drops what tokenizer.json says of
normalisation and of added tokens: after `</s>` it gives `USER` where training had `▁USER`. spacing.py takes tokenizer.json
at its word there. A folder with tokenizer.model alone is converted with the sentencepiece package, which the webui has,
rather than through protobuf, which it has not (sentencepiece_model.py).
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoint.torch_pickle import SUFFIXES
from ..checkpoint.validation import is_llama_tokenizer, read_tokenizer_config
from ..checkpoint.weight_files import INDEX, SUFFIX
from ..errors import GPTQError, quote_error
from ..util.regular_file import MAX_VOCABULARY, is_present, read_bytes, read_json
from .sentencepiece_model import convert_sentencepiece
from .spacing import is_sentencepiece, restore_spacing

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

log = logging.getLogger('airoboros_gptq')

_LLAMA_SPECIAL = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
_SPECIAL = (*_LLAMA_SPECIAL, 'pad_token', 'sep_token', 'cls_token', 'mask_token')
_MAX_SETTINGS = 64 << 20  # bytes of one of the files below
# What AutoTokenizer reads of a folder besides the vocabulary.
_SETTINGS_FILES = (
    *('config.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'),
    *('chat_template.jinja', 'chat_template.json', 'additional_chat_templates/*.jinja'),
)


def load_tokenizer(
    folder: Path,
    use_fast: bool = True,
    trust_remote_code: bool = False,
    settings: dict[str, Any] | None = None,
    config: PreTrainedConfig | None = None,
) -> PreTrainedTokenizerBase:
    """The tokenizer that AutoTokenizer gives, with the spacing of training. `settings` is tokenizer_config.json where the
    caller has read it, `config` the model's, for a config.json that transformers cannot read by itself. Raises GPTQError
    where the folder has no tokenizer that can be read.
    """
    if settings is None:
        settings = read_tokenizer_config(folder)  # raises where there is none: transformers 5 would make one up
    try:
        tokenizer = _read_tokenizer(folder, use_fast, trust_remote_code, settings, config)
        _ = tokenizer.unk_token_id  # never ends where that token is not in the vocabulary
        return tokenizer
    except (GPTQError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as e:  # transformers raises nearly anything, and a panic of tokenizers' Rust is no Exception
        raise GPTQError(
            f'The tokenizer in {folder} cannot be loaded ({quote_error(e)}); download its files again.'
        ) from e


def _read_tokenizer(
    folder: Path, use_fast: bool, trust_remote_code: bool, settings: dict[str, Any], config: PreTrainedConfig | None
) -> PreTrainedTokenizerBase:
    has_json = (folder / 'tokenizer.json').is_file()
    options: dict[str, Any] = {'trust_remote_code': trust_remote_code}
    if any(_names_file(*setting) for setting in settings.items()):
        with tempfile.TemporaryDirectory() as copy:
            _copy_settings(folder, Path(copy), settings)
            _copy_vocabulary(folder, Path(copy))
            return _named(load_tokenizer(Path(copy), use_fast, trust_remote_code, None, config), folder)
    if not use_fast and _has_slow_tokenizers():
        return _auto_tokenizer(folder, config, use_fast=False, **options)
    if settings.get('add_prefix_space') is not None and is_llama_tokenizer(settings) and _has_slow_tokenizers():
        options['add_prefix_space'] = None  # transformers 4 would convert tokenizer.model anew, through protobuf
    if is_llama_tokenizer(settings) and not has_json and (folder / 'tokenizer.model').is_file():
        return _converted_tokenizer(folder, settings, config, options)
    if has_json and any(map(_lacks_type, (settings.get(key) for key in _SPECIAL))):
        with tempfile.TemporaryDirectory() as copy:
            _copy_settings(folder, Path(copy), settings)
            shutil.copyfile(folder / 'tokenizer.json', Path(copy, 'tokenizer.json'))
            return _named(restore_spacing(_auto_tokenizer(Path(copy), config, **options), Path(copy)), folder)
    tokenizer = _auto_tokenizer(folder, config, **options)
    guessed = 'tokenizer_class' not in settings and type(tokenizer).__name__.startswith('LlamaTokenizer')
    if guessed and has_json and not is_sentencepiece(folder / 'tokenizer.json'):
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(folder)  # LLaMA's class would invent <s> and </s>
    return restore_spacing(tokenizer, folder)


def _has_slow_tokenizers() -> bool:
    """Whether use_fast=False means anything: since transformers 5 it is ignored."""
    import transformers

    return int(transformers.__version__.partition('.')[0]) < 5


def _auto_tokenizer(folder: Path, config: PreTrainedConfig | None, **options: Any) -> PreTrainedTokenizerBase:
    """AutoTokenizer's, told the model's config only where it cannot read the folder's."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **options)
    except (ValueError, KeyError, OSError):
        if config is None:
            raise
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, **options)
    return tokenizer


def _converted_tokenizer(
    folder: Path, settings: dict[str, Any], config: PreTrainedConfig | None, options: dict[str, Any]
) -> PreTrainedTokenizerBase:
    """AutoTokenizer's of a folder in which a tokenizer.json that is made of tokenizer.model stands beside the rest."""
    special = {key: _content(settings.get(key)) or default for key, default in _LLAMA_SPECIAL.items()}
    added = _added_ids(folder, settings)
    # A token that is not special is looked for in the normalised text: with LLaMA's normaliser at its beginning alone.
    legacy = settings.get('legacy') is not False and not _have_ordinary(added, settings)
    backend = convert_sentencepiece(folder / 'tokenizer.model', special, added, legacy)
    with tempfile.TemporaryDirectory() as copy:
        _copy_settings(folder, Path(copy), {'tokenizer_class': 'LlamaTokenizer', **settings})
        backend.save(str(Path(copy, 'tokenizer.json')))
        tokenizer: Any = restore_spacing(_auto_tokenizer(Path(copy), config, **options), Path(copy))
    # transformers 5 leaves these to tokenizer.json; both are properties, and are LLaMA's where the config is silent.
    tokenizer.add_bos_token = settings.get('add_bos_token', True)
    tokenizer.add_eos_token = settings.get('add_eos_token', False)
    return _named(tokenizer, folder)


def _copy_settings(folder: Path, target: Path, settings: dict[str, Any]) -> None:
    """Copies what AutoTokenizer reads besides the vocabulary, with `settings` as tokenizer_config.json."""
    for pattern in _SETTINGS_FILES:
        for path in folder.glob(pattern):
            if is_present(path):
                copy = target / path.relative_to(folder)
                copy.parent.mkdir(exist_ok=True)
                copy.write_bytes(read_bytes(path, _MAX_SETTINGS))
    kept = {k: v for k, v in settings.items() if not _names_file(k, v)}
    typed = {k: {'__type': 'AddedToken', **v} if _lacks_type(v) and k in _SPECIAL else v for k, v in kept.items()}
    (target / 'tokenizer_config.json').write_text(json.dumps(typed), encoding='utf-8')


def _copy_vocabulary(folder: Path, target: Path) -> None:
    """Copies the rest of a folder but its weights."""
    for path in folder.iterdir():
        is_weights = path.name.endswith((SUFFIX, INDEX, *SUFFIXES))
        if (
            path.is_file()
            and not is_weights
            and not (target / path.name).exists()
            and path.stat().st_size <= MAX_VOCABULARY
        ):
            shutil.copyfile(path, target / path.name)


def _names_file(key: str, value: object) -> bool:
    """Whether a setting of tokenizer_config.json says where a file is: transformers to 5.6 opens it, wherever that is, in
    place of the folder's own. It never writes such settings; old folders have them from the machine that they were made on.
    """
    if key == 'fast_tokenizer_files':  # names of the folder's own, for several versions
        return any(c in str(value) for c in '/\\')
    return key.endswith('_file') and key != 'special_tokens_map_file' and bool(value)


def _named(tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer, named after the folder that it is of."""
    tokenizer.name_or_path = tokenizer.init_kwargs['name_or_path'] = str(folder)
    return tokenizer


def _lacks_type(token: object) -> bool:
    """Whether a special token is an object that does not say that it is an AddedToken, which transformers refuses."""
    return isinstance(token, dict) and '__type' not in token


def _content(token: object) -> str | None:
    """The text of a special token, which may be an object."""
    text = token.get('content') if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _have_ordinary(added: dict[int, str], settings: dict[str, Any]) -> bool:
    """Whether an added token is looked for in the normalised text, as transformers takes those that are not special."""
    decoder = settings.get('added_tokens_decoder')
    if decoder:
        return any(isinstance(token, dict) and token.get('normalized') for token in decoder.values())
    return bool(set(added.values()) - {_content(settings.get(key)) for key in _SPECIAL})


def _added_ids(folder: Path, settings: dict[str, Any]) -> dict[int, str]:
    """Added tokens by id, of tokenizer_config.json, else of added_tokens.json."""
    decoder = settings.get('added_tokens_decoder')
    if not decoder and (folder / 'added_tokens.json').is_file():
        decoder = {i: token for token, i in read_json(folder / 'added_tokens.json').items()}
    try:
        named = {int(i): _content(token) for i, token in (decoder or {}).items()}
    except (AttributeError, TypeError, ValueError) as e:
        raise GPTQError(
            f'{folder} lists added tokens by ids that are no numbers; download tokenizer_config.json and '
            'added_tokens.json again.'
        ) from e
    return {i: token for i, token in named.items() if token}
