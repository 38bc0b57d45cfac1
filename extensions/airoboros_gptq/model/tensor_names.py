"""Maps names in a file to names in a model.

transformers renames and fuses modules from one version to the next, and files keep the names of the version that wrote them;
from_pretrained() knows the changes: as a mapping since 5.0, as attributes of the model's class before. Here the same tables are
asked, and beyond them what from_pretrained() does by itself: base_model_prefix is added or taken away, and the language half of a
model that also sees goes by the names that it has as a model of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn

from ..checkpoint.linear_spec import LinearSpec
from ..checkpoint.tensor_info import TensorInfo
from ..util.types import TransformersModel
from .unfused_experts import ExpertPart, separate_experts
from .vision import Unloaded

_HALVES = ('language_model', 'text_model', 'thinker')  # what the language half is called within a model that also sees


class NameMap:
    """What the tensors of a file are called in a model."""

    def __init__(self, model: TransformersModel, is_partial: bool) -> None:
        """`is_partial` where the file may hold parts that the model does not have, as a vision tower."""
        self._model, self._is_partial = model, is_partial
        self._renamings, self.fusions = _transforms(model)
        self._places: dict[str, str] = {}  # of the linears of experts
        self.look_again()

    def look_again(self, places: dict[str, str] | None = None) -> None:
        """To be called when modules of the model were replaced; the modules of the file in `places` stand there."""
        self._places = places or {}
        self.known = _tensor_names(self._model)
        self._modules = {name for name, module in self._model.named_modules() if not isinstance(module, Unloaded)}

    def __call__(self, name: str) -> str:
        """The name of a tensor of the file in the model; one that leads nowhere stays as it is. A quantised module goes by the
        name of the weight that it stands for.
        """
        module, _, leaf = name.rpartition('.')
        if module in self._places:
            return f'{self._places[module]}.{leaf}'
        found = self.find(name)
        if found is None and leaf == 'bias' and (weight := self.find(f'{module}.weight')):  # of a module that has none
            found = f'{weight.rpartition(".")[0]}.bias'
        return next(self.candidates(name)) if found is None else found

    def find(self, name: str) -> str | None:
        """The name in the model, where it has such a tensor."""
        return next((n for n in self.candidates(name) if n in self.known), None)

    def rename(self, name: str) -> str:
        """As transformers' own table says."""
        for renaming in self._renamings:
            name = renaming(name)
        return name

    def candidates(self, name: str) -> Iterator[str]:
        """What a tensor of the file may be called in the model, the likeliest first."""
        halves = [name.replace(f'{half}.', '', 1) for half in _HALVES if f'{half}.' in name]
        prefix = self._model.base_model_prefix
        for one in dict.fromkeys((self.rename(name), name, *(n for half in halves for n in (self.rename(half), half)))):
            yield one
            if prefix:
                yield one.removeprefix(f'{prefix}.')
                yield f'{prefix}.{one}'

    def is_left_out(self, name: str) -> bool:
        """Whether a tensor is of a part that the model does not have at all: a vision tower, or layers that only make drafts."""
        if name.rpartition('.')[0] in self._places:
            return False
        names = list(self.candidates(name))
        ignored = getattr(self._model, '_keys_to_ignore_on_load_unexpected', None) or ()
        if any(n in self.known for n in names):
            return False
        if any(re.search(pattern, n) for n in names for pattern in ignored):
            return True
        roots = ('', self._model.base_model_prefix)
        return self._is_partial and all(self._nearest_module(n) in roots for n in names)

    def _nearest_module(self, name: str) -> str:
        while name and name not in self._modules:
            name = name.rpartition('.')[0]
        return name


def map_names_to_model(
    model: TransformersModel, tensors: Mapping[str, TensorInfo], specs: Mapping[str, LinearSpec], file: str
) -> NameMap:
    """The names of the file's tensors in `model`.

    Changes the model: experts that it has fused and the file, which holds `tensors`, has apart, are replaced by separate
    ones. To be called once. Raises GPTQError for a quantised module that is fused in a way that cannot be undone here.
    """
    is_partial = any(isinstance(m, Unloaded) for m in model.modules()) or any(
        f'{half}.' in name for name in tensors for half in _HALVES
    )
    names = NameMap(model, is_partial)
    parts = []
    for module in dict.fromkeys(name.rpartition('.')[0] for name in tensors):
        weight = f'{module}.weight'
        is_read = weight in tensors or module in specs
        if is_read and names.find(weight) is None and not names.is_left_out(weight):
            parts += _expert_part(module, names)
    names.look_again(separate_experts(model, parts, tensors, specs, file))
    return names


def _transforms(model: TransformersModel) -> tuple[list[Callable[[str], str]], list[Any]]:
    """(functions that rename, one after the other; the transforms that fuse several tensors) of this transformers."""
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
    except ImportError:  # before 5.0
        return [lambda name: _rename_before_5(model, name)], []
    transforms = get_model_conversion_mapping(model)
    renamings = [t for t in transforms if not hasattr(t, 'operations')]
    return (
        [lambda name, r=r: r.rename_source_key(name)[0] for r in renamings],  # type: ignore[misc]
        [t for t in transforms if hasattr(t, 'operations')],
    )


def _rename_before_5(model: TransformersModel, name: str) -> str:
    name = model._fix_state_dict_key_on_load(name)[0] if hasattr(model, '_fix_state_dict_key_on_load') else name
    for pattern, replacement in (getattr(model, '_checkpoint_conversion_mapping', None) or {}).items():
        name, count = re.subn(pattern, replacement, name)
        if count:
            break
    return name


def _expert_part(module: str, names: NameMap) -> list[ExpertPart]:
    """What of a fused parameter a module of the file is, that is no module of the model; nothing where it is no such part."""
    for name in names.candidates(f'{module}.weight'):
        for fusion in names.fusions:
            target, pattern = fusion.rename_source_key(name)
            found = re.fullmatch(r'.*\.(\d+)\.(\w+)\.weight', name)
            if pattern is None or target not in names.known or found is None:
                continue
            names_of_parts = [p.removesuffix('.weight').rpartition('.')[2] for p in fusion.source_patterns]
            return [ExpertPart(module, target, int(found[1]), found[2], tuple(names_of_parts))]
    for name in names.candidates(f'{module}.weight'):
        for base, expert, part in _readings(name.removesuffix('.weight')):
            for parameter, sources in _parameters(base, part, names):
                return [ExpertPart(module, parameter, expert, part or sources[0], sources)]
    return []


def _readings(name: str) -> Iterator[tuple[str, int, str]]:
    """(the module that has the experts, the expert, the part of it) as a name may be read: x.3.gate_proj, x.gate_up.3, x.3."""
    found = re.fullmatch(r'(.+)\.(\d+)\.(\w+)', name)
    if found:
        yield found[1], int(found[2]), found[3]
    found = re.fullmatch(r'(.+)\.([A-Za-z]\w*)\.(\d+)', name)
    if found:
        yield found[1], int(found[3]), found[2]
        yield f'{found[1]}.{found[2]}', int(found[3]), ''


# Names of the parts of a gated MLP, by the parameter that holds them together.
_GATE, _UP, _DOWN = ('gate_proj', 'w1', 'gate'), ('up_proj', 'w3', 'up'), ('down_proj', 'w2', 'down')


def _parameters(base: str, part: str, names: NameMap) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(fused parameter, the parts that it consists of) for a part of an expert of the module `base`."""
    if not part:
        for name in (f'{base}.weight', names.rename(f'{base}.weight')):
            if name in names.known:
                yield name, (name.rpartition('.')[2],)
        return
    for name in (f'{base}.{part}', f'{base}.{part}_proj'):
        if name in names.known:
            yield name, (part,)
    for gate, up, down in zip(_GATE, _UP, _DOWN, strict=True):
        if part in (gate, up) and f'{base}.gate_up_proj' in names.known:
            yield f'{base}.gate_up_proj', (gate, up)
        if part == down and f'{base}.down_proj' in names.known:
            yield f'{base}.down_proj', (down,)


def _tensor_names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters(remove_duplicate=False)} | {n for n, _ in model.named_buffers()}
