"""Which file of a folder is the model, and what its tensors say. Standard library alone.

The tensors are the truth and the config is a claim about them: act-order, for one, is read off `g_idx`.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .config import QuantizeConfig, read_json
from .errors import GPTQError
from .safetensors_header import Header, TensorInfo, read_header, read_int32

SUFFIX = '.safetensors'
INDEX_SUFFIX = '.safetensors.index.json'


@dataclass(frozen=True)
class Checkpoint:
    """A model's weights: one safetensors file, or the shards that an index lists.

    `name` is what a user picks: the file's name, or the index's. `reason` says why this one was chosen.
    """

    name: str
    headers: tuple[Header, ...]
    desc_act: bool
    reason: str = ''

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(h.size for h in self.headers)

    @property
    def tensors(self) -> dict[str, TensorInfo]:
        return {name: info for h in self.headers for name, info in h.tensors.items()}

    def read_ints(self, name: str, most: int | None = None) -> array:
        """The values of an I32 tensor, flat; only the first `most` where that is given."""
        return next(read_int32(h, name, most) for h in self.headers if name in h.tensors)

    def quantised_modules(self) -> list[str]:
        """Names of the modules that have a `qweight`."""
        return [n.removesuffix('.qweight') for n in self.tensors if n.endswith('.qweight')]


def list_checkpoints(folder: Path) -> list[str]:
    """Names of the safetensors checkpoints in a folder: indices and the single files that no index lists."""
    indices = sorted(p.name for p in folder.glob(f'*{INDEX_SUFFIX}'))
    shards = {shard for name in indices for shard in _shards(folder / name)}
    singles = sorted(p.name for p in folder.glob(f'*{SUFFIX}') if p.name not in shards)
    return indices + singles


def _shards(index: Path) -> list[str]:
    weight_map = read_json(index).get('weight_map')
    usable = isinstance(weight_map, dict) and weight_map
    if not usable or not all(isinstance(v, str) and Path(v).name == v for v in weight_map.values()):
        raise GPTQError(f'{index} has no usable weight_map; download it again.')
    return sorted(set(weight_map.values()))


def has_act_order(header: Header) -> bool:
    """Whether any `g_idx` of a file is not sorted, which is what act-order (`desc_act`) leaves behind."""
    for name, info in header.tensors.items():
        if name.endswith('.g_idx') and info.dtype == 'I32':
            values = read_int32(header, name)
            if any(a > b for a, b in pairwise(values)):
                return True
    return False


def open_checkpoint(folder: Path, name: str, reason: str = '') -> Checkpoint:
    """Reads the headers of the checkpoint `name`. Raises GPTQError where a file is missing or broken."""
    names = _shards(folder / name) if name.endswith(INDEX_SUFFIX) else [name]
    for shard in names:
        if not (folder / shard).is_file():
            raise GPTQError(f'{folder / shard} is missing, though {name} lists it; download it.')
    headers = tuple(read_header(folder / shard) for shard in names)
    return Checkpoint(name, headers, any(has_act_order(h) for h in headers), reason)


def find_name(folder: Path, wanted: str) -> str | None:
    """The checkpoint that `wanted` means: a file's name, or its stem as configs and AutoGPTQ write it."""
    names = list_checkpoints(folder)
    for candidate in (wanted, wanted + SUFFIX, wanted + INDEX_SUFFIX):
        if candidate in names:
            return candidate
    return None


def choose_checkpoint(folder: Path, config: QuantizeConfig, wanted: str | None = None) -> Checkpoint:
    """The checkpoint to load: the one the user names, else the config's `model_file_base_name`, else the only one,
    else the one whose act-order matches the config. Raises GPTQError, listing the candidates, where that decides nothing.
    """
    names = list_checkpoints(folder)
    listed = ', '.join(names) or 'none'
    if wanted:
        name = find_name(folder, wanted)
        if name is None:
            raise GPTQError(f'{folder} has no checkpoint {wanted}; it has: {listed}.')
        return open_checkpoint(folder, name, 'named by the user')
    if not names:
        raise GPTQError(f'{folder} holds no .safetensors file; download the model again.')
    if config.model_file_base_name:
        name = find_name(folder, config.model_file_base_name)
        if name is not None:
            return open_checkpoint(folder, name, f'model_file_base_name in {config.sources["model_file_base_name"]}')
    if len(names) == 1:
        return open_checkpoint(folder, names[0], 'the only checkpoint in the folder')
    found = [
        c
        for c in (open_checkpoint(folder, n) for n in names)
        if c.desc_act == config.desc_act and c.quantised_modules()
    ]
    if len(found) != 1:
        claim = 'with' if config.desc_act else 'without'
        raise GPTQError(
            f'{folder} holds {len(names)} checkpoints and {len(found)} of them are {claim} act-order, as its config says; '
            f'name the one to load: {listed}.'
        )
    source = config.sources.get('desc_act', 'the config')
    return open_checkpoint(folder, found[0].name, f'its act-order is as desc_act says in {source}')
