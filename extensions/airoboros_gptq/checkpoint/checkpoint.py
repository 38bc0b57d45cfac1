"""Which file of a folder is the model, and what its tensors say. Standard library alone, but for pickles.

Bits, group size and act-order are read from tensor shapes and `g_idx`; config files are cross-checked against them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ..errors import GPTQError
from ..util.regular_file import open_regular
from .group_index import GroupIndex, describe_group_index
from .quantize_config import QuantizeConfig
from .safetensors_header import Header, read_header
from .tensor_info import TensorInfo
from .torch_pickle import PickledWeights, read_pickle
from .weight_files import check_no_unusable, files_of, find_checkpoints, is_pickle, match_name

WeightFile = Header | PickledWeights


@dataclass(frozen=True)
class Checkpoint:
    """A model's weights, in one file or in shards, whatever their kind.

    `name` is what a user picks: the file's name, the index's, or the first shard's. `reason` says why this one was chosen.
    """

    name: str
    files: tuple[WeightFile, ...]
    reason: str = ''
    _group_indices: dict[str, GroupIndex] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in self.files)

    @cached_property
    def tensors(self) -> dict[str, TensorInfo]:
        return {name: info for file in self.files for name, info in file.tensors.items()}

    def read_ints(self, name: str, limit: int | None = None) -> array[int]:
        """The values of an I32 tensor, flat; at most the first `limit` of them."""
        return next(file.read_ints(name, limit) for file in reversed(self.files) if name in file.tensors)

    def group_index(self, name: str) -> GroupIndex:
        """What the I32 tensor `name`, a g_idx, shows. Each is read from the file once."""
        if name not in self._group_indices:
            self._group_indices[name] = describe_group_index(self.read_ints(name))
        return self._group_indices[name]

    @cached_property
    def desc_act(self) -> bool:
        """Whether any g_idx is not sorted, which is what act-order (`desc_act`) leaves behind."""
        g_idx = (name for name, info in self.tensors.items() if name.endswith('.g_idx') and info.dtype == 'I32')
        return not all(self.group_index(name).is_sorted for name in g_idx)

    def read_ahead(self) -> None:
        """Asks the system to read the files into its page cache (posix_fadvise), where it takes such a hint: all of them
        will be needed, once libraries are imported and the model is laid out. Returns at once.
        """
        if hasattr(os, 'posix_fadvise'):
            paths = [file.path for file in self.files]
            threading.Thread(target=_advise_will_need, args=(paths,), daemon=True, name='reading ahead').start()

    def quantized_modules(self) -> list[str]:
        """Names of the modules that have a `qweight`."""
        return [n.removesuffix('.qweight') for n in self.tensors if n.endswith('.qweight')]


def _advise_will_need(paths: list[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError, GPTQError), open_regular(path) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def open_checkpoint(folder: Path, name: str, reason: str = '', files: list[str] | None = None) -> Checkpoint:
    """Reads the headers of the checkpoint `name`, of which `files` are known where its index was read. Raises GPTQError
    where a file is missing or broken.
    """
    files = files_of(folder, name) if files is None else files
    missing = [f for f in files if not _exists(folder / f)]
    if missing:
        more = f', as are {len(missing) - 1} more' if len(missing) > 1 else ''
        raise GPTQError(f'{folder / missing[0]} is missing{more}, though {name} asks for it; download it.')
    opened = tuple(read_pickle(folder / f) if is_pickle(f) else read_header(folder / f) for f in files)
    _check_no_duplicate_tensors(opened)
    return Checkpoint(name, opened, reason)


def _exists(path: Path) -> bool:
    """Whether a file exists. False for a name that is too long for the disk, which a broken index may hold."""
    try:
        return path.is_file()
    except OSError:
        return False


def _check_no_duplicate_tensors(files: tuple[WeightFile, ...]) -> None:
    """Raises GPTQError where two shards hold the same tensor: they are not of one download."""
    holders: dict[str, Path] = {}
    for file in files:
        name = next((name for name in file.tensors if name in holders), None)
        if name is not None:
            raise GPTQError(
                f'{file.path} and {holders[name].name} both hold {name}: they are not of one model; download them again.'
            )
        holders.update(dict.fromkeys(file.tensors, file.path))


def choose_checkpoint(
    folder: Path,
    config: QuantizeConfig,
    requested: str | None = None,
    candidates: Mapping[str, list[str]] | None = None,
) -> Checkpoint:
    """The checkpoint to load: the one that the user names, else the config's `model_file_base_name`, else the only one,
    else the only quantised one, else the one whose act-order matches the config. Pickles count where there is no
    safetensors file. `candidates` are those of find_checkpoints(), where the caller has them. Raises GPTQError, listing
    them, where that decides nothing.
    """
    files = find_checkpoints(folder) if candidates is None else candidates

    def open_named(name: str, reason: str = '') -> Checkpoint:
        return open_checkpoint(folder, name, reason, files[name])

    if requested:
        name = match_name(files, requested)
        if name is None:
            raise GPTQError(f'{folder} has no checkpoint {requested}; it has: {", ".join(files) or "none"}.')
        return open_named(name, 'named by the user')
    if not files:
        check_no_unusable(folder)
        raise GPTQError(f'{folder} holds no .safetensors file, nor a .bin or .pt; download the model again.')
    if config.model_file_base_name:
        name = match_name(files, config.model_file_base_name)
        if name is not None:
            return open_named(name, f'model_file_base_name in {config.sources["model_file_base_name"]}')
    names = [n for n in files if not is_pickle(n)] or list(files)
    if len(names) == 1:
        return open_named(names[0], 'the only checkpoint in the folder')
    quantized = [c for c in map(open_named, names) if c.quantized_modules()]
    if len(quantized) == 1:
        return replace(quantized[0], reason='the only quantised checkpoint in the folder')
    return _choose_by_act_order(folder, quantized, config, names)


def _choose_by_act_order(
    folder: Path, quantized: list[Checkpoint], config: QuantizeConfig, names: list[str]
) -> Checkpoint:
    source, listed = config.sources.get('desc_act', 'default'), ', '.join(names)
    if source == 'default':
        raise GPTQError(f'{folder} holds {len(names)} checkpoints, and no config tells them apart; name one: {listed}.')
    matching = [c for c in quantized if c.desc_act == config.desc_act]
    if len(matching) != 1:
        order = 'with' if config.desc_act else 'without'
        raise GPTQError(
            f'{folder} holds {len(names)} checkpoints and {len(matching)} of them are {order} act-order, as its config '
            f'says; name the one to load: {listed}.'
        )
    return replace(matching[0], reason=f'its act-order is as desc_act says in {source}')
