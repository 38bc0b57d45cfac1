"""Which files of a folder are weights, and which belong together. Standard library alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..clean_text import clean_text
from ..errors import GPTQError
from ..util.regular_file import is_present, read_json
from .torch_pickle import SUFFIXES as PICKLES

SUFFIX = '.safetensors'
INDEX = '.index.json'
_SHARD = re.compile(r'(.+)-(\d{5})-of-(\d{5})')
# What trainers leave beside the weights.
_NO_WEIGHTS = re.compile(r'(training_args|optimizer|scheduler|scaler|rng_state.*|tokenizer.*)\.(bin|pt|pth)')


def is_pickle(name: str) -> bool:
    """Whether a checkpoint of this name, a file's or an index's, was pickled."""
    return name.removesuffix(INDEX).endswith(PICKLES)


def find_checkpoints(folder: Path) -> dict[str, list[str]]:
    """The checkpoints of a folder, those in safetensors first: name -> the names of its files.

    A checkpoint goes by the name of its index, of its first shard where there is no index, or of its only file. An index
    none of whose files is there is left out where there is anything else: quantisers copy the one of the model they
    started from. Raises GPTQError where the folder cannot be listed, or an index is of no use.
    """
    try:
        names = sorted(p.name for p in folder.iterdir() if _is_usable(p))
    except OSError as e:
        raise GPTQError(f'{folder} cannot be read ({e.strerror}); check the folder and its permissions.') from e
    indices = [n for n in names if n.endswith(INDEX) and n.removesuffix(INDEX).endswith((SUFFIX, *PICKLES))]
    shards = {index: _indexed_files(folder / index) for index in indices}
    indexed = {name for listed in shards.values() for name in listed}
    files = [n for n in names if n.endswith((SUFFIX, *PICKLES)) and not _NO_WEIGHTS.fullmatch(n)]
    found = {index: shards[index] for index in indices if any(s in files for s in shards[index])}
    found |= {files_of[0]: files_of for files_of in (_shards_of(n) for n in files if n not in indexed)}
    found = found or shards
    return {name: found[name] for name in sorted(found, key=is_pickle)}


def list_checkpoints(folder: Path) -> list[str]:
    """The names of find_checkpoints(), as a menu shows them."""
    return list(find_checkpoints(folder))


def files_of(folder: Path, name: str) -> list[str]:
    """The names of the files of which the checkpoint `name` consists. Raises GPTQError for an index that is of no use."""
    return _indexed_files(folder / name) if name.endswith(INDEX) else _shards_of(name)


def match_name(names: Iterable[str], wanted: str) -> str | None:
    """The checkpoint of `names` that `wanted` means: a file's name, or its stem as configs and AutoGPTQ write it."""
    names = set(names)
    endings = ('', *(suffix + index for suffix in (SUFFIX, *PICKLES) for index in ('', INDEX)))
    return next((wanted + ending for ending in endings if wanted + ending in names), None)


def check_no_unusable(folder: Path) -> None:
    """Raises GPTQError for weights that find_checkpoints() passes over: a link to nothing, or to itself, as a tidied Hugging
    Face cache leaves it; what is no regular file; a name that cannot be shown.
    """
    for path in sorted(folder.iterdir()):
        if path.name.endswith((SUFFIX, *PICKLES, INDEX)) and is_present(path) and not _is_usable(path):
            raise GPTQError(f'{path} has a name with characters in it that cannot be shown; rename it.')


def _is_usable(path: Path) -> bool:
    """Whether it is a regular file whose name menus can show: half a surrogate pair, which stands for a byte that is not
    UTF-8, ends the connection of a page.
    """
    try:
        return path.name == clean_text(path.name) and path.is_file()
    except OSError:
        return False


def _indexed_files(index: Path) -> list[str]:
    """The names of the files that an index lists. Raises GPTQError for an index that is of no use."""
    weight_map = read_json(index).get('weight_map')
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise GPTQError(f'{index} has no usable weight_map; download it again.')
    return sorted(set(names))


def _shards_of(name: str) -> list[str]:
    """All the shards that a shard's name, model-00001-of-00003.safetensors, counts; the file alone for another name."""
    shard = _SHARD.fullmatch(Path(name).stem)
    if shard is None or not int(shard[3]):
        return [name]
    stem, _, count = shard.groups()
    return [f'{stem}-{i:05d}-of-{count}{Path(name).suffix}' for i in range(1, int(count) + 1)]
