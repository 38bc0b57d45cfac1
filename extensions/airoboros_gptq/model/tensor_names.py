"""Names in a file and names in a model. transformers renames and fuses modules from one version to the next, and files
keep the names of the version that wrote them; since 5.0 transformers lists what became of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from torch import nn

from ..errors import GPTQError
from .unfused_experts import SeparateExperts, can_separate

ModelName = Callable[[str], str]  # from a tensor's name in the file to its name in the model

_EXPERT_PART = re.compile(r'.*\.\*\.(\w+)\.weight')


def map_names_to_model(model: nn.Module, tensors: Collection[str], quantized: Collection[str], file: str) -> ModelName:
    """The function from a tensor's name in the file to its name in `model`; a name that leads nowhere stays as it is.
    Quantised modules go by the name of the weight they stand for.

    Changes the model: experts that it has fused and the file, which holds `tensors`, has apart, are replaced by separate
    ones. To be called once. Raises GPTQError for a quantised module that is fused in a way that cannot be undone here.
    """
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
    except ImportError:  # before 5.0
        return lambda name: name
    transforms = get_model_conversion_mapping(model)
    renamings = [t for t in transforms if not hasattr(t, 'operations')]
    fusions = [t for t in transforms if hasattr(t, 'operations')]
    known = _names(model)

    def rename(name: str) -> str:
        for renaming in renamings:
            name, _ = renaming.rename_source_key(name)
        return name

    fused = {}
    for module in dict.fromkeys(name.rpartition('.')[0] for name in tensors):
        name = f'{module}.weight'
        if name not in known and (target := _fused(rename(name), fusions)) is not None:
            fused[module] = target
    _separate(model, fused, quantized, file)
    known = _names(model)

    def find(name: str) -> str:
        return name if name in known or rename(name) not in known else rename(name)

    return find


def _fused(name: str, fusions: list) -> tuple[str, object] | None:
    """The parameter into which a weight goes, and the transform that says so; None where it goes into none."""
    for fusion in fusions:
        target, pattern = fusion.rename_source_key(name)
        if pattern is not None:
            return target, fusion
    return None


def _separate(model: nn.Module, fused: dict, quantized: Collection[str], file: str) -> None:
    """Replaces the fused experts into which the file's modules go."""
    parts: dict[str, dict[str, list[str]]] = {}
    for target, fusion in fused.values():
        owner, _, weight = target.rpartition('.')
        found = [_EXPERT_PART.fullmatch(pattern) for pattern in fusion.source_patterns]
        parts.setdefault(owner, {})[weight] = [m[1] for m in found if m]
    for owner, names in parts.items():
        parent, _, child = owner.rpartition('.')
        holder = getattr(model.get_submodule(parent), child, None) if _has(model, parent) else None
        if isinstance(holder, nn.Module) and can_separate(holder, names):
            setattr(model.get_submodule(parent), child, SeparateExperts(holder, names))
            continue
        lost = [m for m, (target, _) in fused.items() if m in quantized and target.startswith(f'{owner}.')]
        if lost:
            raise GPTQError(
                f'{file} holds {lost[0]} by itself, which the installed transformers keeps within {owner}; '
                'use transformers 4 for it.'
            )


def _has(model: nn.Module, name: str) -> bool:
    try:
        return model.get_submodule(name) is not None
    except AttributeError:
        return False


def _names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters(remove_duplicate=False)} | {n for n, _ in model.named_buffers()}
