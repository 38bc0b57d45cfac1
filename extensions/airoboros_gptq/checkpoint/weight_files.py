"""Which files of a folder are weights, and which belong together. Standard library alone."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import GPTQError
from .hf_config import read_json
from .torch_pickle import SUFFIXES as PICKLES

SUFFIX = '.safetensors'
INDEX = '.index.json'
_SHARD = re.compile(r'(.+)-(\d{5})-of-(\d{5})')
# What trainers leave beside the weights.
_NO_WEIGHTS = re.compile(r'(training_args|optimizer|scheduler|scaler|rng_state.*|tokenizer.*)\.(bin|pt|pth)')


def is_pickle(name: str) -> bool:
    """Whether a checkpoint of this name, a file's or an index's, was pickled."""
    return name.removesuffix(INDEX).endswith(PICKLES)


def list_checkpoints(folder: Path) -> list[str]:
    """The names of a folder's checkpoints, those in safetensors first: indices, the first shards of those that no index
    lists, and single files. An index none of whose files is there is left out where there is anything else: quantisers
    copy the one of the model they started from.
    """
    try:
        names = sorted(p.name for p in folder.iterdir() if p.is_file())
    except OSError as e:
        raise GPTQError(f'{folder} cannot be read ({e.strerror}); check the folder and its permissions.') from e
    indices = [n for n in names if n.endswith(INDEX) and n.removesuffix(INDEX).endswith((SUFFIX, *PICKLES))]
    listed = {index: files_of(folder, index) for index in indices}
    files = [n for n in names if n.endswith((SUFFIX, *PICKLES)) and not _NO_WEIGHTS.fullmatch(n)]
    single = [n for n in files if not any(n in shards for shards in listed.values())]
    found = [*(i for i in indices if any(s in files for s in listed[i])), *dict.fromkeys(map(_first_shard, single))]
    return sorted(found or indices, key=is_pickle)


def refuse_dead_links(folder: Path) -> None:
    """Raises GPTQError for weights that are a link to nothing, or to itself: a tidied Hugging Face cache leaves such."""
    for path in sorted(folder.iterdir()):
        if path.name.endswith((SUFFIX, *PICKLES)) and path.is_symlink() and not path.is_file():
            raise GPTQError(f'{path} is a symbolic link that leads to no file; download it again.')


def files_of(folder: Path, name: str) -> list[str]:
    """The names of the files of which the checkpoint `name` consists. Raises GPTQError for an index that is of no use."""
    if name.endswith(INDEX):
        weight_map = read_json(folder / name).get('weight_map')
        usable = isinstance(weight_map, dict) and weight_map
        if not usable or not all(isinstance(v, str) and Path(v).name == v for v in weight_map.values()):
            raise GPTQError(f'{folder / name} has no usable weight_map; download it again.')
        return sorted(set(weight_map.values()))
    shard = _SHARD.fullmatch(Path(name).stem)
    if shard is None:
        return [name]
    stem, _, count = shard.groups()
    return [f'{stem}-{i:05d}-of-{count}{Path(name).suffix}' for i in range(1, int(count) + 1)]


def _first_shard(name: str) -> str:
    """The name under which the shards without an index go."""
    shard = _SHARD.fullmatch(Path(name).stem)
    return f'{shard[1]}-00001-of-{shard[3]}{Path(name).suffix}' if shard else name


def find_name(folder: Path, wanted: str) -> str | None:
    """The checkpoint that `wanted` means: a file's name, or its stem as configs and AutoGPTQ write it."""
    names = list_checkpoints(folder)
    endings = ('', *(s + i for s in (SUFFIX, *PICKLES) for i in ('', INDEX)))
    return next((wanted + e for e in endings if wanted + e in names), None)
